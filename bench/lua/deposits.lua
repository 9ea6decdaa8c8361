-- POST /v1/deposits by way of a gateway: the body on the list's first line, with a random wallet of
-- the others where it says {to}; each is answered once the gateway's webhook has confirmed it.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local ids, before, after, head
local random = math.random

function init()
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) + thread_number)
  ids = load.read_lines(os.getenv("BENCH_LIST"))
  before, after = table.remove(ids, 1):match("^(.*){to}(.*)$")
  head = load.head("POST", "/v1/deposits") .. "Prefer: wait=30\r\n"
  load.look_at_answers()
end

function request()
  return load.posting(head, before .. ids[random(#ids)] .. after)
end
