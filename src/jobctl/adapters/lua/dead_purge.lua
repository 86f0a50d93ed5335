-- Remove dead jobs, with all that is kept of them.
--
-- ARGV: 2 unused; then for each: queue, id. Answers how many were removed; what is not dead any more does not count.
local removed = 0
for place = 3, #ARGV, 2 do
  local queue, id = ARGV[place], ARGV[place + 1]
  local job, executions = prefix .. ':job:' .. id, prefix .. ':executions:' .. id
  if call('ZREM', prefix .. ':failed:' .. queue, id) == 1 then
    local group = exists(id) and call('HGET', job, 'group_id')
    if group and group ~= '' then call('SREM', prefix .. ':group:' .. group, id) end
    for _, execution in ipairs(call('ZRANGE', executions, 0, -1)) do
      call('DEL', prefix .. ':execution:' .. id .. ':' .. execution)
    end
    call('DEL', job, job .. ':dependents', prefix .. ':job::' .. id .. ':dependencies', executions,
      prefix .. ':results:' .. id)
    removed = removed + 1
  end
end
return { removed }
