-- Let jobs whose dependencies are met into their queues: all that are ready, whoever found them so.
--
-- ARGV: 2 now as RQ writes it; 3 most jobs of a queue; then the queues.
-- Answers: how many were ready; whether a queue had more than that, 0 or 1; then limits, see entry.lua. What is gone, or
--   not ready any more, is passed over.
local most = tonumber(ARGV[3])
local found, more = 0, 0
for place = 4, #ARGV do
  local queue = ARGV[place]
  local ready = prefix .. ':ready:' .. queue
  local ids = call('ZRANGE', ready, 0, most - 1)
  for _, id in ipairs(ids) do
    call('ZREM', ready, id)
    if exists(id) and call('HGET', prefix .. ':job:' .. id, 'status') == 'ready_to_enqueue' then
      enter(queue, id, ARGV[2], goes_first(id))
    end
  end
  found = found + #ids
  if #ids == most then more = 1 end
end
return { found, more, unpack(limits) }
