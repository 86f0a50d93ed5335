-- Let scheduled jobs whose time has come, by the server's clock, into their queues.
--
-- ARGV: 2 now as RQ writes it; 3 most jobs of a queue; then the queues.
-- Answers: how many entered or were gone; whether a queue had more than that, 0 or 1; seconds until the next one is
--   due, or '' when none is scheduled; then limits, see entry.lua.
local now, most = server_time(), tonumber(ARGV[3])
local moved, more, next_due = 0, 0, nil

local function next_score(scheduled)
  return tonumber(call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2] or '')
end

local function move(queue, scheduled)
  local due = call('ZRANGEBYSCORE', scheduled, '-inf', format('%.6f', now), 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    call('ZREM', scheduled, id)
    if exists(id) then
      enter(queue, id, ARGV[2], goes_first(id))
    end
  end
  moved = moved + #due
  if #due == most then more = 1 end
end

for place = 4, #ARGV do
  local scheduled = prefix .. ':scheduled:' .. ARGV[place]
  local first = next_score(scheduled)
  if first and first <= now then
    move(ARGV[place], scheduled)
    first = next_score(scheduled)
  end
  if first and (not next_due or first < next_due) then next_due = first end
end
return { moved, more, next_due and format('%.6f', next_due - now) or '', unpack(limits) }
