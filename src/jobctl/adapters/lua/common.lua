-- What all scripts of the worker share. ARGV[1]: RQ's key prefix; ARGV[2]: the worker's name.
local call, format = redis.call, string.format
local prefix, worker = ARGV[1], ARGV[2]
local worker_key = prefix .. ':worker:' .. worker
local started_key = worker_key .. ':executions'

-- The server's clock, seconds.
local function server_time()
  local time = call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- Take an execution off the books. False when it is not on them: somebody else took the job over. A job that was
-- cancelled while it runs is off the queue's books and still on the worker's.
local function close(queue, id, execution, of_worker)
  local member = id .. ':' .. execution
  local indexed = call('SREM', of_worker or started_key, member)
  if call('ZREM', prefix .. ':wip:' .. queue, member) + indexed == 0 then return false end
  call('DEL', prefix .. ':execution:' .. member)
  call('ZREM', prefix .. ':executions:' .. id, execution)
  return true
end
