-- POST a gateway's webhooks to BENCH_PATH, each of the list once: id, time, signature and body.
local load = dofile(os.getenv("BENCH_LUA") .. "/load.lua")
local lines, head
local turn = 0

function init()
  lines = load.read_lines(os.getenv("BENCH_LIST"))
  head = "POST " .. os.getenv("BENCH_PATH") .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" ..
    wrk.port .. "\r\nContent-Type: application/json\r\nWebhook-Id: "
end

function request()
  turn = turn + 1
  local id, at, signature, body = lines[turn]:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
  return head .. id .. "\r\nWebhook-Timestamp: " .. at .. "\r\nWebhook-Signature: " .. signature ..
    "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end
