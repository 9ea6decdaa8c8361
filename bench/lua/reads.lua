-- GET a random one of the list's paths.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local requests = {}

function init()
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) + thread_number)
  for index, path in ipairs(load.read_lines(os.getenv("BENCH_LIST"))) do
    requests[index] = load.head("GET", path) .. "\r\n"
  end
end

function request()
  return requests[math.random(#requests)]
end
