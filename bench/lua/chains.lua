-- POST /v1/chains: the body on the list's first line, with a random wallet of the others wherever it
-- says {from} or {to}: the same one within a chain, and never one for both.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local ids, parts, places, head
local random, concat = math.random, table.concat

function init()
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) + thread_number)
  ids = load.read_lines(os.getenv("BENCH_LIST"))
  local body, last = table.remove(ids, 1), 1
  parts, places = {}, {}
  for before, name, after in body:gmatch("(){(%a+)}()") do
    if name == "from" or name == "to" then
      parts[#parts + 1] = body:sub(last, before - 1)
      parts[#parts + 1] = ""
      places[#parts], last = name, after
    end
  end
  parts[#parts + 1] = body:sub(last)
  head = load.head("POST", "/v1/chains")
end

function request()
  local source, destination = random(#ids), random(#ids - 1)
  if destination >= source then destination = destination + 1 end
  for place, name in pairs(places) do
    parts[place] = name == "from" and ids[source] or ids[destination]
  end
  return load.posting(head, concat(parts))
end
