-- The rules of core/limiting.py on a Redis, in one step: what they are for is told there. Keep in sync; the conformance
-- suite holds both against each other.
--
-- KEYS  1 the scope (a model under an API key)   2 the account (the API key)
-- ARGV  1 acquire | release | report | status | models
--       2 the limit and the tuning, JSON   3 the wish or the report, JSON   4 the model   5 the time; empty for the server's
--
-- A state is one MessagePack value, so that each step reads and writes two keys. All times are seconds since the epoch.

local EPS, SHORTEST_S, MANY, INF = 1e-6, 0.001, 1e9, math.huge
local what, C, ask, model = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), ARGV[4]
local now
if ARGV[5] ~= '' then
  now = tonumber(ARGV[5])
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function load(key, fresh)
  local packed = redis.call('GET', key)
  return packed and cmsgpack.unpack(packed) or fresh, not packed
end

local A = load(KEYS[2], {
  at = now, paused_until = 0, strikes = 0, budget = C.retry_reserve, budget_tail = 0, seen = 0, models = {},
})
if what == 'models' then
  local names = {}
  for name, used in pairs(A.models) do
    if used > now - C.ttl then names[#names + 1] = name end
  end
  return names
end
local S = load(KEYS[1], {
  at = now, calls = INF, tokens = INF, served = 0, tail = 0, rear = 0, door = INF, pushed = 0, cap = INF, lowered = 0,
  changed = -INF, earlier = INF, earlier_good = 0, accepted = 0, refused = 0, judging = 0, credit = 0, paused_until = 0,
  strikes = 0, seen = 0, counted = 0, succeeded = 0, failed = 0, open_until = 0, opened = 0, probing = 0, probed = 0,
  mean_tokens = 0,
})

-- Rates -------------------------------------------------------------------------------------------------------------

local function per_s(allowed) return allowed and allowed / C.spread or INF end

local function rate() return math.min(per_s(C.rpm), S.cap) end

local function depth() return 1 + C.burst + rate() * C.tolerance end

local function token_depth() return C.tpm and math.max(1, per_s(C.tpm) * C.tolerance) or INF end

local function filled(level, more, deep)
  if deep == INF then return deep end
  return math.min(deep, level + more)
end

local function seen_per_s()
  return S.seen / (C.seen * (1 - math.exp(-math.max(1, S.counted) / C.seen)))
end

local function usual_tokens() return S.mean_tokens > 0 and S.mean_tokens or C.first_tokens end

local function unlimited() return not C.tpm and rate() == INF end

local function line_per_s()
  if unlimited() then return C.spread_rate end
  return math.min(rate(), per_s(C.tpm) / usual_tokens())
end

-- Time --------------------------------------------------------------------------------------------------------------

local function blocked()
  local paused = math.max(S.paused_until, A.paused_until)
  if S.opened > 0 and S.open_until > paused then return S.open_until, 'breaker' end
  return paused, 'paused'
end

local function live_s()
  local until_s = blocked()
  local stopped = math.max(0, math.min(now, until_s) - S.at)
  local counts = math.min(stopped, S.credit)
  S.credit = now >= until_s and C.tolerance or S.credit - counts
  local open = math.max(0, now - S.at) - stopped
  return open + counts, open
end

local function recover(live)
  if S.cap == INF then return end
  S.cap = S.cap + live * S.lowered / math.max(C.recover, C.recover_calls / S.lowered)
  if S.cap >= math.min(2 * S.lowered, per_s(C.rpm)) then S.cap = INF end
end

local function advance()
  local elapsed = math.max(0, now - A.at)
  A.at = math.max(A.at, now)
  A.budget = math.min(C.retry_reserve, A.budget + elapsed * C.retry_trickle)
  A.seen = A.seen * math.exp(-elapsed / C.seen)
  elapsed = math.max(0, now - S.at)
  local live, open = live_s()
  S.at = math.max(S.at, now)
  recover(live)
  S.calls = filled(S.calls, live * rate(), depth())
  S.door = filled(S.door, live * rate() / 2, depth())
  S.tokens = filled(S.tokens, live * per_s(C.tpm), token_depth())
  if S.opened == 0 then S.served = S.served + (unlimited() and open or live) * line_per_s() end
  S.tail = math.max(S.tail, S.served)
  local fading = math.exp(-live / C.seen)
  S.seen, S.pushed = S.seen * fading, S.pushed * fading
  S.counted, S.judging = S.counted + live, S.judging + live
  fading = math.exp(-elapsed / C.breaker_window)
  S.succeeded, S.failed = S.succeeded * fading, S.failed * fading
end

-- Room and line -----------------------------------------------------------------------------------------------------

local function cost(tokens)
  local takes = math.max(1 / rate(), tokens / per_s(C.tpm))
  return C.spacing * (takes > 0 and line_per_s() * takes or 1)
end

local function pace()
  local line = line_per_s()
  return math.max(line / 2, line - S.pushed / C.seen)
end

local function room(tokens)
  local calls = S.calls
  if tokens > 0 and C.tpm then
    local whole = S.tokens >= token_depth() - EPS and 1 or 0
    calls = math.min(calls, math.max(S.tokens / tokens, whole))
  end
  return math.floor(math.min(calls, MANY) + EPS)
end

local function deficit(tokens)
  local wait = rate() == INF and 0 or (1 - S.calls) / rate()
  if tokens > 0 and C.tpm then
    wait = math.max(wait, (math.min(tokens, token_depth()) - S.tokens) / per_s(C.tpm))
  end
  return math.max(0, wait)
end

local function unclaimed(tokens)
  local left = rate() == INF and MANY or S.calls - rate() * C.tolerance / 2
  if tokens > 0 and C.tpm then
    local deep = token_depth()
    local enough = S.tokens >= math.min(deep, tokens + deep / 2) - EPS
    left = math.min(left, enough and math.max(1, (S.tokens - deep / 2) / tokens) or 0)
  end
  return math.max(0, math.floor(left + EPS))
end

local function in_turn(tokens, calls)
  if S.tail <= S.served + EPS or calls <= 0 then return calls end
  local free = unclaimed(tokens)
  if ask.walk_in then
    local granted = math.min(calls, math.max(free, math.floor(math.min(S.door, MANY) + EPS)))
    local pushed = math.max(0, granted - free)
    S.door = S.door - pushed
    S.served = S.served - pushed * cost(tokens)
    S.pushed = S.pushed + pushed * cost(tokens)
    return granted
  end
  if ask.kind == 'place' and ask.value <= S.served + EPS then return calls end
  return math.min(calls, free)
end

local function until_s(position, wait)
  if unlimited() then
    return math.max(SHORTEST_S, wait + math.max(0, position - S.served - C.together) / pace())
  end
  local counts = S.opened > 0 and 0 or math.min(wait, S.credit)
  return math.max(SHORTEST_S, wait, wait - counts + (position - S.served) / pace())
end

local function send_back(position, tokens, reason, wait)
  if unlimited() then return 0, math.max(SHORTEST_S, wait), reason, 'place', position, 0 end
  local come = math.max(S.rear, S.served + deficit(tokens) * line_per_s())
  S.rear = come + cost(tokens)
  S.tail = math.max(S.tail, S.rear)
  return 0, until_s(come, wait), reason, 'place', position, 0
end

local function deny(tokens, reason, wait)
  local missing = deficit(tokens)
  if ask.walk_in then
    if S.tail > S.served and reason == 'limit' and rate() ~= INF then
      missing = math.max(missing, (1 - S.door) * 2 / rate())
    end
    return 0, math.max(SHORTEST_S, wait, missing), reason, '', 0, 0
  end
  local position
  if ask.kind == 'place' and ask.value <= S.tail then
    position = ask.value
    if position <= S.served + EPS then return send_back(position, tokens, reason, wait) end
  else
    position = math.max(S.tail, S.served + missing * line_per_s())
    S.tail = position + cost(tokens)
  end
  return 0, until_s(position, wait), reason, 'place', position, 0
end

-- Requests ----------------------------------------------------------------------------------------------------------

local function budget_wait()
  local someone_waits = A.budget_tail > A.at and ask.kind == ''
  if A.budget >= (someone_waits and C.retry_reserve / 2 or 1) - EPS then return 0 end
  local refill = C.retry_trickle + C.retry_share * A.seen / C.seen
  A.budget_tail = math.max(A.at, A.budget_tail) + 1 / refill
  return A.budget_tail - A.at
end

local function count(calls)
  if ask.retry then
    A.budget = A.budget - calls
  else
    A.seen = math.max(0, A.seen + calls)
    A.budget = math.min(C.retry_reserve, A.budget + C.retry_share * calls)
  end
end

local function acquire()
  local tokens = ask.tokens or usual_tokens()
  local blocked_until, reason = blocked()
  if blocked_until > S.at then return deny(tokens, reason, blocked_until - S.at) end
  local probes_left = S.opened > 0 and C.probes - S.probing or ask.calls
  if probes_left <= 0 then return deny(tokens, 'breaker', C.pause) end
  local wanted = math.min(ask.calls, probes_left)
  if ask.retry then
    local wait = budget_wait()
    if wait > 0 then return 0, wait, 'retry_budget', 'budget', 0, 0 end
    wanted = math.min(wanted, math.max(1, math.floor(A.budget + EPS)))
  end
  local granted = math.min(wanted, room(tokens))
  if S.opened == 0 then granted = in_turn(tokens, granted) end
  if granted <= 0 then return deny(tokens, 'limit', 0) end
  S.calls = S.calls - granted
  S.tokens = S.tokens - granted * tokens
  S.seen = S.seen + granted
  if unlimited() then S.served = S.served + granted end
  if S.opened > 0 then S.probing = S.probing + granted end
  count(granted)
  if granted == ask.calls then return granted, 0, '', '', 0, tokens end
  return granted, math.max(SHORTEST_S, deficit(tokens)), 'limit', '', 0, tokens
end

local function release()
  S.calls = math.min(depth(), S.calls + ask.calls)
  S.tokens = math.min(token_depth(), S.tokens + ask.calls * ask.tokens)
  S.seen = math.max(0, S.seen - ask.calls)
  S.probing = S.opened > 0 and math.max(0, S.probing - ask.calls) or 0
  count(-ask.calls)
  return 0, 0, '', '', 0, 0
end

-- Outcomes ----------------------------------------------------------------------------------------------------------

local function doubled(first, time, longest) return math.min(longest, first * 2 ^ math.min(time - 1, 32)) end

local function struck(strikes, paused_until)
  local fresh = S.at - ask.latency >= paused_until - EPS
  if fresh then strikes = strikes + 1 end
  if ask.wait then return strikes, math.max(paused_until, S.at + math.min(ask.wait, C.longest_pause)) end
  if not fresh then return strikes, paused_until end
  return strikes, S.at + doubled(C.pause, strikes, C.longest_backoff)
end

local function succeed()
  S.succeeded = S.succeeded + 1
  if S.opened > 0 and S.at - ask.latency >= S.open_until - EPS then
    S.probed = S.probed + 1
    if S.probed >= C.probes then
      S.opened, S.probing, S.probed, S.succeeded, S.failed = 0, 0, 0, 0, 0
    end
  end
end

local function fail()
  S.failed = S.failed + 1
  local counted, opens = S.succeeded + S.failed, nil
  if S.opened > 0 then
    opens = S.at - ask.latency >= S.open_until - EPS
  else
    opens = counted >= C.breaker_calls - EPS and S.failed >= C.breaker_share * counted - EPS
  end
  if opens then
    S.opened = S.opened + 1
    S.open_until = S.at + doubled(C.open, S.opened, C.longest_backoff)
    S.probing, S.probed = 0, 0
  end
end

local function throttle()
  if S.opened > 0 then S.probing = math.max(0, S.probing - 1) end
  if ask.outcome == 'account_throttled' then
    A.strikes, A.paused_until = struck(A.strikes, A.paused_until)
  else
    S.strikes, S.paused_until = struck(S.strikes, S.paused_until)
  end
  return send_back(S.served, usual_tokens(), 'paused', math.max(0, (blocked()) - S.at))
end

local function change(good)
  if good < (1 - C.judged_share) * S.earlier_good then
    S.cap, S.earlier_good = S.earlier, 0
  else
    S.earlier, S.earlier_good = S.cap, good
    local lower = C.decrease * (rate() == INF and seen_per_s() or rate())
    S.cap = math.max(C.lowest_rate, lower, good)
  end
  S.lowered, S.changed = S.cap, S.at
end

local function judge(refused)
  if S.at - ask.latency < S.changed - EPS then return end
  if S.judging > C.judged_longest then S.accepted, S.refused, S.judging = 0, 0, 0 end
  S.refused, S.accepted = S.refused + refused, S.accepted + 1 - refused
  local answers = S.accepted + S.refused
  if answers < C.judged_calls or S.judging < C.judged - EPS then return end
  if S.refused > C.judged_share * answers then change(S.accepted / S.judging) else S.earlier_good = 0 end
  S.accepted, S.refused, S.judging = 0, 0, 0
end

local function report()
  S.tokens = math.min(token_depth(), S.tokens - ask.tokens)
  if ask.used then
    S.mean_tokens = S.mean_tokens + (ask.used - S.mean_tokens) * (S.mean_tokens > 0 and 0.1 or 1)
  end
  if ask.outcome == 'ok' then
    succeed()
  elseif ask.outcome == 'failed' then
    fail()
  else
    judge(1)
    return throttle()
  end
  S.strikes, A.strikes = 0, 0
  judge(0)
  return 0, 0, '', '', 0, 0
end

local function text(number) return string.format('%.17g', number) end

advance()
if what == 'status' then
  local used = unlimited() and 0 or seen_per_s() / line_per_s()
  local factor = S.cap == INF and 1 or rate() / (C.rpm and per_s(C.rpm) or 2 * S.lowered)
  local paused = math.max(0, math.max(S.paused_until, A.paused_until) - S.at)
  local headroom = paused > 0 and 0 or math.min(1, math.max(0, 1 - used))
  return {
    rate() == INF and '' or text(rate()), text(headroom), text((S.tail - S.served) / pace()),
    text(paused), S.opened > 0 and 1 or 0, text(factor), text(A.budget),
  }
end
local granted, delay, reason, kind, value, tokens
if what == 'acquire' then
  granted, delay, reason, kind, value, tokens = acquire()
elseif what == 'release' then
  granted, delay, reason, kind, value, tokens = release()
else
  granted, delay, reason, kind, value, tokens = report()
end

-- What nobody asks about for an hour, beyond its last pause and its line, is forgotten.
local function save(key, state, until_s)
  local ttl = math.max(until_s - now, 0) + C.ttl
  redis.call('SET', key, cmsgpack.pack(state), 'PX', string.format('%.0f', ttl * 1000))
end

if not A.models[model] then
  for name, used in pairs(A.models) do
    if used <= now - C.ttl then A.models[name] = nil end
  end
end
A.models[model] = now
local last = math.max(S.paused_until, A.paused_until, S.open_until)
save(KEYS[1], S, math.max(last, now) + (S.tail - S.served) / pace())
save(KEYS[2], A, math.max(last, A.budget_tail))
return { granted, text(delay), reason, kind, text(value), text(tokens) }
