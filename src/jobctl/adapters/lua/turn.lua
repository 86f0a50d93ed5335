-- One turn at the desk: book the jobs that ended, begin as many as there are free slots.
--
-- ARGV: 3 now, seconds; 4 its whole seconds as RQ writes them; 5 what the ids of new executions begin with; 6 wanted;
--   7 seconds between RQ's heartbeats; 8 the state to note when a job begins, or '';
--   9 number of queues, each: name, most jobs to take now, or '';
--   then a number of places, each the index of a queue: take one job from each of these first;
--   then a number of ended jobs, each: queue, id, execution, packed result or '', its TTL, started, ended, ended as RQ
--   writes it.
-- Answers: for each ended job 1, 0 when it was taken over, 2 when other jobs depend on it and nothing was written;
--   then the length of each queue that has a limit, 0 for others; then for each begun job a list, see begin().
local now, second, batch, wanted = tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local interval, state = tonumber(ARGV[7]), ARGV[8]
local place = 9

local function word()
  place = place + 1
  return ARGV[place - 1]
end

local queues, most = {}, {}
for i = 1, tonumber(word()) do
  queues[i], most[i] = word(), tonumber(word()) or math.huge
end
local turns = {}
for i = 1, tonumber(word()) do turns[i] = tonumber(word()) + 1 end

-- Booking --------------------------------------------------------------------------------------------------------------

local function finish(queue, id, execution, result, ttl, started, ended, ended_text)
  local job, results = prefix .. ':job:' .. id, prefix .. ':results:' .. id
  if call('EXISTS', job .. ':dependents') == 1 then return 2 end
  if not close(queue, id, execution) then return 0 end
  call('HSET', job, 'status', 'finished', 'ended_at', ended_text, 'last_heartbeat', ended_text)
  if result ~= '' then
    call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', 1, 'worker_name', worker, 'return_value', result,
      'execution_id', execution, 'execution_started_at', started, 'execution_ended_at', ended)
  else
    call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', 1, 'worker_name', worker,
      'execution_id', execution, 'execution_started_at', started, 'execution_ended_at', ended)
  end
  local finished = prefix .. ':finished:' .. queue
  if tonumber(ttl) < 0 then
    call('PERSIST', results)
    call('ZADD', finished, '+inf', id)
  else
    call('EXPIRE', job, ttl)
    call('EXPIRE', results, ttl)
    call('ZADD', finished, math.floor(now) + tonumber(ttl), id)
  end
  return 1
end

local booked, done, seconds = {}, 0, 0
for i = 1, tonumber(word()) do
  local queue, id, execution, result = word(), word(), word(), word()
  local ttl, started, ended, ended_text = word(), word(), word(), word()
  booked[i] = finish(queue, id, execution, result, ttl, started, ended, ended_text)
  if booked[i] == 1 then
    done, seconds = done + 1, seconds + tonumber(ended) - tonumber(started)
  end
end
if done > 0 then
  call('HINCRBY', worker_key, 'successful_job_count', done)
  call('HINCRBYFLOAT', worker_key, 'total_working_time', format('%.6f', seconds))
end

-- Beginning ------------------------------------------------------------------------------------------------------------

local begun = {}

-- Whether a job with its last chance may begin: one at a time in a worker. All that was in flight when a worker died is
-- suspected of having killed it. The one that did would take the others along again, until all of them are dead.
local function watch(member)
  local suspect = call('HGET', worker_key, 'jobctl_suspect')
  if suspect and call('SISMEMBER', started_key, suspect) == 1 then return false end
  call('HSET', worker_key, 'jobctl_suspect', member)
  return true
end

-- Begins a job that has just left its queue; nothing when it is gone, or something else is in its place. The fields: index of the queue, id, execution,
-- data, timeout, TTL of its result, when it was enqueued, attempt, how often it was abandoned, meta, permits, packed result; then, for a job that has more to it
-- than a function to call, its whole hash.
local function begin(i, id)
  local job = prefix .. ':job:' .. id
  local had = redis.pcall('HMGET', job, 'data', 'timeout', 'result_ttl', 'enqueued_at', 'jobctl_attempts', 'meta',
    'jobctl_permits', 'jobctl_result', 'created_at', 'status', 'success_callback_name', 'failure_callback_name', 'stopped_callback_name',
    'webhooks', 'repeats_left', 'group_id', 'rate_limit_key', 'dependency_ids', 'dependency_id', 'result',
    'jobctl_suspect', 'jobctl_abandoned', 'started_at')
  if had.err or not (had[1] or had[9] or had[10]) then return end
  if had[5] and had[23] == '' then  -- RQ writes that of what is enqueued: its id was used before
    call('HDEL', job, 'jobctl_attempts', 'jobctl_abandoned', 'jobctl_suspect', 'jobctl_reason', 'jobctl_permits',
      'jobctl_result', 'jobctl_failed_s')
    for _, n in ipairs({ 5, 7, 8, 21, 22 }) do had[n] = false end
  end
  local execution = batch .. format('%08x', #begun)
  local member = id .. ':' .. execution
  if had[21] and not watch(member) then
    call('HSET', job, 'status', 'scheduled', 'enqueue_at_front', 1)
    call('ZADD', prefix .. ':scheduled:' .. queues[i], format('%.6f', server_time() + 1), id)
    return
  end
  local timeout, attempt = tonumber(had[2]) or 180, (tonumber(had[5]) or 0) + 1
  local ttl = (timeout > 0 and math.min(math.floor(timeout), interval) or interval) + 60
  local fields = { i - 1, id, execution, had[1] or '', had[2] or '', had[3] or '', had[4] or '', attempt,
    tonumber(had[22]) or 0, had[6] or '', had[7] or '', had[8] or '' }
  if not had[1] then
    fields[13] = call('HGETALL', job)
  else
    for n = 11, 20 do
      if had[n] and had[n] ~= '' then
        fields[13] = call('HGETALL', job)
        break
      end
    end
  end
  -- A microsecond later than the one before: who sorts jobs by their start sees the order in which they were taken.
  local text = format('%s.%06dZ', second, math.min(math.floor(now % 1 * 1e6) + #begun, 999999))
  call('HSET', job, 'status', 'started', 'started_at', text, 'last_heartbeat', text, 'worker_name', worker,
    'jobctl_attempts', attempt)
  if had[7] or had[8] then call('HDEL', job, 'jobctl_permits', 'jobctl_result') end
  call('PERSIST', job)
  call('HSET', prefix .. ':execution:' .. member, 'id', execution, 'job_id', id, 'created_at', ARGV[3],
    'last_heartbeat', ARGV[3], 'worker_name', worker)
  call('EXPIRE', prefix .. ':execution:' .. member, ttl)
  call('ZADD', prefix .. ':executions:' .. id, now + ttl + 60, execution)
  call('EXPIRE', prefix .. ':executions:' .. id, ttl + 60)
  call('ZADD', prefix .. ':wip:' .. queues[i], now + ttl, member)
  call('SADD', started_key, member)
  begun[#begun + 1] = fields
end

-- Takes and begins up to a number of jobs of one queue; whether it had any.
local function take(i, count)
  count = math.min(count, most[i])
  if count <= 0 then return false end
  local ids = call('LPOP', prefix .. ':queue:' .. queues[i], count)
  if not ids then return false end
  local before = #begun
  for _, id in ipairs(ids) do begin(i, id) end
  most[i] = most[i] - (#begun - before)
  return true
end

for _, i in ipairs(turns) do
  if #begun >= wanted then break end
  take(i, 1)
end
for i = 1, #queues do
  while #begun < wanted and take(i, wanted - #begun) do end
end
if #begun > 0 then
  call('EXPIRE', started_key, 604800)
  if state ~= '' then call('HSET', worker_key, 'state', state) end
end

local lengths = {}
for i = 1, #queues do
  lengths[i] = most[i] < math.huge and call('LLEN', prefix .. ':queue:' .. queues[i]) or 0
end
return { booked, lengths, begun }
