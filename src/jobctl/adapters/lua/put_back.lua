-- Take executions off the books and let their jobs run again.
--
-- ARGV: 3 seconds until then, or '' for at once, at the front of the queue; 4 whether the attempts are spent, 0 or 1;
--   5 a reason to keep with the job, or ''; 6 permits to keep with it, or ''; 7 its packed result, or '', where only
--   storing that failed; 8 seconds for which a spent attempt held its slot; then for each: queue, id, execution.
-- Answers for each 1, or 0 when it was taken over.
local delay, spent, reason, permits, result, held = ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local answer = {}
for place = 9, #ARGV, 3 do
  local queue, id, execution = ARGV[place], ARGV[place + 1], ARGV[place + 2]
  local job = prefix .. ':job:' .. id
  if not close(queue, id, execution) then
    answer[#answer + 1] = 0
  elseif call('HGET', job, 'status') ~= 'started' then  -- deleted or cancelled meanwhile
    answer[#answer + 1] = 1
  else
    if not spent then call('HINCRBY', job, 'jobctl_attempts', -1) end
    if reason ~= '' then call('HSET', job, 'jobctl_reason', reason) end
    if permits ~= '' then call('HSET', job, 'jobctl_permits', permits) end
    if result ~= '' then call('HSET', job, 'jobctl_result', result) end
    call('HDEL', job, 'started_at', 'worker_name')
    if delay == '' then
      call('HSET', job, 'status', 'queued')
      call('LPUSH', prefix .. ':queue:' .. queue, id)
    else
      call('HSET', job, 'status', 'scheduled')
      call('ZADD', prefix .. ':scheduled:' .. queue, format('%.6f', server_time() + tonumber(delay)), id)
    end
    if spent then
      call('HINCRBYFLOAT', job, 'jobctl_failed_s', held)
      call('HINCRBY', worker_key, 'failed_job_count', 1)
    end
    answer[#answer + 1] = 1
  end
end
return answer
