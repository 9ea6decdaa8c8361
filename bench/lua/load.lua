-- What every wrk script here shares: names, unique keys, and the report as one line of JSON.
-- The environment tells the rest: BENCH_KEY, BENCH_LEDGER, BENCH_RUN, BENCH_LIST, BENCH_EXPECT.

local load = { threads = {} }
local run, expected = os.getenv("BENCH_RUN"), tonumber(os.getenv("BENCH_EXPECT"))
local sent = 0

function setup(thread)
  table.insert(load.threads, thread)
  thread:set("thread_number", #load.threads)
end

function load.read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

function load.read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- Everything of a request but its last lines, built once: building it anew costs the generator.
function load.head(method, path)
  return method .. " " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nAuthorization: Bearer " .. os.getenv("BENCH_KEY") ..
    "\r\nCatena-Ledger: " .. os.getenv("BENCH_LEDGER") .. "\r\n"
end

function load.posting(head, body)
  sent = sent + 1
  return head .. "Content-Type: application/json\r\nIdempotency-Key: " .. run .. "-" ..
    thread_number .. "-" .. sent .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

-- Look at every answer's status, which costs the generator a quarter of its time. Without it wrk
-- counts what is 400 or more.
unexpected = 0
function load.look_at_answers()
  function response(status)
    if status ~= expected and status < 400 then unexpected = unexpected + 1 end
  end
end

function done(summary, latency)
  local wrong = 0
  for _, thread in ipairs(load.threads) do wrong = wrong + thread:get("unexpected") end
  local errors = summary.errors
  wrong = wrong + errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "unexpected": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), wrong))
end

return load
