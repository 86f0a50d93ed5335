-- Let jobs whose dependencies are met into their queues.
--
-- ARGV: 2 now as RQ writes it; then for each: queue, id.
-- Answers: limits, see entry.lua. What was let in meanwhile, or is gone, is passed over.
for place = 3, #ARGV, 2 do
  local queue, id = ARGV[place], ARGV[place + 1]
  if call('ZREM', prefix .. ':ready:' .. queue, id) == 1 and exists(id)
    and call('HGET', prefix .. ':job:' .. id, 'status') == 'ready_to_enqueue' then
    enter(queue, id, ARGV[2], goes_first(id))
  end
end
return limits
