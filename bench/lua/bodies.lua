-- POST the bodies of the list's files in turn to BENCH_PATH, each time under a new key.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local bodies, head = {}, nil
local turn = 0

function init()
  for index, path in ipairs(load.read_lines(os.getenv("BENCH_LIST"))) do
    bodies[index] = load.read_all(path)
  end
  head = load.head("POST", os.getenv("BENCH_PATH"))
  load.look_at_answers()
end

function request()
  turn = turn % #bodies + 1
  return load.posting(head, bodies[turn])
end
