-- How a job enters its queue again, as RQ 3 writes it, without its data being looked at. ARGV[1]: RQ's key prefix.
local call, format = redis.call, string.format
local prefix = ARGV[1]
-- Rate limits whose waiting jobs became more: key and concurrency in turn. RQ's own script lets them in.
local limits, is_listed = {}, {}

-- The server's clock, seconds.
local function server_time()
  local time = call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- False when nothing is left of a job. Somebody may have put something else in its place: no script may fail for that,
-- or it would fail again and again.
local function exists(id)
  local job = prefix .. ':job:' .. id
  return call('TYPE', job).ok == 'hash' and call('HEXISTS', job, 'data') == 1
end

-- Whether a job is to enter at the front.
local function goes_first(id)
  local had = call('HMGET', prefix .. ':job:' .. id, 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at')
  local has_run = had[3] and had[3] ~= ''
  return had[1] == '1' or (had[2] == '1' and has_run)
end

-- A job that exists enters. now: as RQ writes it.
local function enter(queue, id, now, front)
  local job = prefix .. ':job:' .. id
  local had = call('HMGET', job, 'ttl', 'rate_limit_key', 'rate_limit_concurrency')
  local ttl, limit, concurrency = tonumber(had[1] or ''), had[2], had[3]
  call('HSETNX', job, 'timeout', 180)
  if limit and concurrency then
    call('HSET', job, 'status', 'rate_limited', 'origin', queue)
    if front then call('HSET', job, 'enqueue_at_front', 1) end
    call('SADD', prefix .. ':rl-keys', limit)
    call('HSET', prefix .. ':rl:' .. limit, 'concurrency', concurrency)
    call('ZADD', prefix .. ':rl:' .. limit .. ':rate_limited', format('%.6f', server_time()), id)
    if not is_listed[limit] then
      is_listed[limit] = true
      limits[#limits + 1] = limit
      limits[#limits + 1] = concurrency
    end
  else
    call('HSET', job, 'status', 'queued', 'enqueued_at', now, 'origin', queue)
    call(front and 'LPUSH' or 'RPUSH', prefix .. ':queue:' .. queue, id)
    call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  end
  if ttl and ttl > 0 then
    for _, key in ipairs({ job, job .. ':dependents', prefix .. ':job::' .. id .. ':dependencies' }) do
      call('EXPIRE', key, ttl)
    end
  end
end
