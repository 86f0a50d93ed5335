-- Let dead jobs into their queues again, at the end and with all their attempts.
--
-- ARGV: 2 now as RQ writes it; then for each: queue, id.
-- Answers: how many entered; then limits, see entry.lua. What is not dead any more, or gone, does not count.
local entered = 0
for place = 3, #ARGV, 2 do
  local queue, id = ARGV[place], ARGV[place + 1]
  local job = prefix .. ':job:' .. id
  if call('ZREM', prefix .. ':failed:' .. queue, id) == 1 and exists(id) then
    call('HDEL', job, 'jobctl_attempts', 'jobctl_abandoned', 'jobctl_suspect', 'jobctl_reason', 'jobctl_permits',
      'jobctl_failed_s', 'number_of_retries', 'exc_info', 'started_at', 'ended_at', 'worker_name')
    for _, key in ipairs({ job, job .. ':dependents', prefix .. ':job::' .. id .. ':dependencies' }) do
      call('PERSIST', key)
    end
    enter(queue, id, ARGV[2], false)
    entered = entered + 1
  end
end
return { entered, unpack(limits) }
