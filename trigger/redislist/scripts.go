package redislist

import "github.com/redis/go-redis/v9"

// What a list has beside it. An owner is a session of a processor.
const (
	prefix = "myelin:list:"
	owners = ":owners" // a sorted set: each owner, and until when it is believed to live
	taken  = ":taken:" // a hash for each owner: numbers, and the elements that it took
	counts = ":counts" // a hash: the SHA-1 of elements whose owner died, and how often that was
)

// beat says that an owner lives, of each list (KEYS: their owners). Only who
// joins may be unknown: whoever was taken for dead is told so.
var beat = redis.NewScript(`
local t = redis.call('TIME')
local till = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  if ARGV[3] ~= 'join' and not redis.call('ZSCORE', key, ARGV[1]) then return 0 end
end
for _, key in ipairs(KEYS) do redis.call('ZADD', key, till, ARGV[1]) end
return 1`)

// take moves elements to an owner that is known, and numbers them. It returns 1
// and, of each, the element and how often an owner died that had it; or 0.
// It ends early at ARGV[6] bytes.
var take = redis.NewScript(`
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {0} end
local t = redis.call('TIME')
redis.call('ZADD', KEYS[2], t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2]), ARGV[1])
local out, size = {1}, 0
local counted = redis.call('EXISTS', KEYS[4]) == 1
local pop = ARGV[5] == 'left' and 'LPOP' or 'RPOP'
for i = 0, tonumber(ARGV[3]) - 1 do
  if size >= tonumber(ARGV[6]) then break end
  local e = redis.call(pop, KEYS[1])
  if not e then break end
  redis.call('HSET', KEYS[3], string.format('%.0f', tonumber(ARGV[4]) + i), e)
  local times = counted and redis.call('HGET', KEYS[4], redis.sha1hex(e))
  size = size + #e
  out[#out + 1] = e
  out[#out + 1] = tonumber(times or 0)
end
return out`)

// done forgets elements (ARGV: numbers) of an owner. Those that it has no more
// are another's.
var done = redis.NewScript(`
if redis.call('EXISTS', KEYS[2]) == 1 then
  for _, n in ipairs(ARGV) do
    local e = redis.call('HGET', KEYS[1], n)
    if e then redis.call('HDEL', KEYS[2], redis.sha1hex(e)) end
  end
end
for _, n in ipairs(ARGV) do redis.call('HDEL', KEYS[1], n) end`)

// back puts elements (ARGV from 2 on: numbers) to where they were taken, in
// their order.
var back = redis.NewScript(`
local push = ARGV[1] == 'left' and 'LPUSH' or 'RPUSH'
local all = {}
for i = 2, #ARGV do all[#all + 1] = tonumber(ARGV[i]) end
table.sort(all, function(a, b) return a > b end)
for _, n in ipairs(all) do
  local f = string.format('%.0f', n)
  local e = redis.call('HGET', KEYS[2], f)
  if e then
    redis.call(push, KEYS[1], e)
    redis.call('HDEL', KEYS[2], f)
  end
end`)

// dead names the owners whose time is over.
var dead = redis.NewScript(`
local t = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t[1] * 1000 + math.floor(t[2] / 1000))`)

// reclaim puts all that an owner has back, and forgets the owner. If it is to be
// dead (ARGV[3]), it must be, and its elements are counted.
var reclaim = redis.NewScript(`
local counting = ARGV[3] == 'dead'
if counting then
  local t = redis.call('TIME')
  local till = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not till or tonumber(till) > t[1] * 1000 + math.floor(t[2] / 1000) then return 0 end
end
local push = ARGV[2] == 'left' and 'LPUSH' or 'RPUSH'
local all = redis.call('HKEYS', KEYS[3])
table.sort(all, function(a, b) return tonumber(a) > tonumber(b) end)
for _, n in ipairs(all) do
  local e = redis.call('HGET', KEYS[3], n)
  redis.call(push, KEYS[1], e)
  if counting then redis.call('HINCRBY', KEYS[4], redis.sha1hex(e), 1) end
end
if counting and #all > 0 then redis.call('EXPIRE', KEYS[4], 86400) end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return #all`)

// waiting is how much is in a list, and with the owners of its elements.
var waiting = redis.NewScript(`
local n = redis.call('LLEN', KEYS[1])
for _, o in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do n = n + redis.call('HLEN', ARGV[1] .. o) end
return n`)
