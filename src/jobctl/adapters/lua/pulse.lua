-- Show the worker alive, and each execution that is due for it in RQ's own places.
--
-- ARGV: 3 now, seconds; 4 now as RQ writes it; 5 TTL of an execution, seconds; 6 seconds of silence after which it counts as dead;
--   7 how far the server's clock is ahead of the worker's, or ''; then for each execution: queue, id, execution.
local now, ttl = tonumber(ARGV[3]), tonumber(ARGV[5])
call('ZADD', prefix .. ':jobctl:pulses', format('%.6f', server_time() + tonumber(ARGV[6])), worker)
call('EXPIRE', started_key, 604800)
if ARGV[7] ~= '' and call('EXISTS', worker_key) == 1 then call('HSET', worker_key, 'jobctl_clock', ARGV[7]) end
for place = 8, #ARGV, 3 do
  local queue, id, execution = ARGV[place], ARGV[place + 1], ARGV[place + 2]
  local member = id .. ':' .. execution
  local wip = prefix .. ':wip:' .. queue
  if call('ZSCORE', wip, member) then
    call('ZADD', wip, 'XX', now + ttl, member)
    call('ZADD', prefix .. ':executions:' .. id, 'XX', now + ttl + 60, execution)
    call('EXPIRE', prefix .. ':executions:' .. id, ttl + 60)
    call('HSET', prefix .. ':execution:' .. member, 'last_heartbeat', ARGV[3])
    call('EXPIRE', prefix .. ':execution:' .. member, ttl)
    if call('EXISTS', prefix .. ':job:' .. id) == 1 then
      call('HSET', prefix .. ':job:' .. id, 'last_heartbeat', ARGV[4])
    end
  end
end
return redis.status_reply('OK')
