-- POST /v1/transfers between random wallets. BENCH_HOT: this share goes to or comes from the
-- account on the list's last line.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local ids, hot_share, fees, head
local random = math.random

function init()
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) + thread_number)
  ids, hot_share = load.read_lines(os.getenv("BENCH_LIST")), tonumber(os.getenv("BENCH_HOT"))
  fees = table.remove(ids)
  head = load.head("POST", "/v1/transfers")
end

function request()
  local source = random(#ids)
  local to = fees
  if random() >= hot_share then
    local destination = random(#ids - 1)
    if destination >= source then destination = destination + 1 end
    to = ids[destination]
  end
  return load.posting(head, '{"source_account_id":"' .. ids[source] ..
    '","destination_account_id":"' .. to .. '","amount":' .. random(100, 999) ..
    ',"currency":"USD"}')
end
