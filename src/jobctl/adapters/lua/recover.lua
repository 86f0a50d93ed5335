-- Put the jobs of one worker that fell silent back to work.
--
-- ARGV: 3 seconds that are to have passed since a worker counts as dead, by its own word; 4 how often a job may be abandoned, the last time
--   included, before it is dead; 5 TTL of a dead job, seconds; 6 its error, packed as RQ packs it; 7 now as RQ writes it.
-- Answers: name of the worker, ids put back, ids that are dead, those of them and of what had failed that others may
--   wait for; nothing when nobody is silent.
local pulses = prefix .. ':jobctl:pulses'
local now = server_time()
local silent = call('ZRANGEBYSCORE', pulses, '-inf', format('%.6f', now - tonumber(ARGV[3])), 'LIMIT', 0, 2)
local name = silent[1]
if name == worker then name = silent[2] end
if not name then return {} end
call('ZREM', pulses, name)
local theirs = prefix .. ':worker:' .. name .. ':executions'
local back, dead, with_dependents = {}, {}, {}
for _, member in ipairs(call('SMEMBERS', theirs)) do
  local id, execution = string.match(member, '^(.*):([^:]*)$')
  local job = prefix .. ':job:' .. id
  local had = call('HMGET', job, 'origin', 'status', 'jobctl_abandoned')
  local queue = had[1]
  if queue and close(queue, id, execution, theirs) and had[2] == 'started' then
    local times = (tonumber(had[3]) or 0) + 1
    call('HSET', job, 'jobctl_abandoned', times)
    call('HDEL', job, 'started_at', 'worker_name')
    if times < tonumber(ARGV[4]) then
      call('HSET', job, 'status', 'queued')
      if times == tonumber(ARGV[4]) - 1 then call('HSET', job, 'jobctl_suspect', 1) end
      call('LPUSH', prefix .. ':queue:' .. queue, id)
      back[#back + 1] = id
    else
      local ttl = tonumber(call('HGET', job, 'failure_ttl') or '') or tonumber(ARGV[5])
      call('HSET', job, 'status', 'failed', 'ended_at', ARGV[7], 'jobctl_reason', 'abandoned')
      call('XADD', prefix .. ':results:' .. id, 'MAXLEN', '~', 10, '*', 'type', 2, 'worker_name', name,
        'exc_string', ARGV[6], 'execution_id', execution)
      if ttl < 0 then
        call('ZADD', prefix .. ':failed:' .. queue, '+inf', id)
      else
        call('EXPIRE', job, ttl)
        call('EXPIRE', prefix .. ':results:' .. id, ttl)
        call('ZADD', prefix .. ':failed:' .. queue, math.floor(now) + ttl, id)
      end
      dead[#dead + 1] = id
      if call('EXISTS', job .. ':dependents') == 1 then with_dependents[#with_dependents + 1] = id end
    end
  elseif not queue then
    call('SREM', theirs, member)
  end
end
local ended = prefix .. ':jobctl:ended:' .. name
for _, id in ipairs(call('SMEMBERS', ended)) do with_dependents[#with_dependents + 1] = id end
call('DEL', theirs, ended)
return { name, back, dead, with_dependents }
