-- The event loop underneath the shim: timers, and sockets that are read when there is something to read.
local socket = require("socket")

local loop = { stopped = false }
local timers, readers, soon = {}, {}, {}

loop.now = socket.gettime

-- Calls `action` once, `seconds` from now; returns a handle for `cancel`.
function loop.after(seconds, action)
  local timer = { at = loop.now() + seconds, action = action }
  timers[timer] = true
  return timer
end

function loop.cancel(timer)
  if timer then timers[timer] = nil end
end

-- Calls `action` when the callback that runs now has returned, as the firmware's task queue does.
function loop.soon(action)
  soon[#soon + 1] = action
end

function loop.watch(sock, on_readable) readers[sock] = on_readable end
function loop.unwatch(sock) readers[sock] = nil end
function loop.stop() loop.stopped = true end

local function run_soon()
  while #soon > 0 and not loop.stopped do
    local batch = soon
    soon = {}
    for _, action in ipairs(batch) do
      if loop.stopped then return end
      action()
    end
  end
end

local function run_timers()
  local now, due = loop.now(), {}
  for timer in pairs(timers) do
    if timer.at <= now then due[#due + 1] = timer end
  end
  table.sort(due, function(a, b) return a.at < b.at end)
  for _, timer in ipairs(due) do
    if timers[timer] and not loop.stopped then
      timers[timer] = nil
      timer.action()
      run_soon()
    end
  end
end

local function time_to_next_timer()
  local first
  for timer in pairs(timers) do
    if not first or timer.at < first then first = timer.at end
  end
  return first and math.max(0, first - loop.now())
end

-- Until stop(). With neither timer nor socket left nothing could happen any more: that ends it too.
function loop.run()
  run_soon()
  while not loop.stopped do
    local socks = {}
    for sock in pairs(readers) do socks[#socks + 1] = sock end
    local wait = time_to_next_timer()
    if #socks == 0 and not wait then return end
    local ready = socket.select(socks, nil, wait)
    for _, sock in ipairs(ready) do
      if readers[sock] and not loop.stopped then readers[sock]() end
      run_soon()
    end
    run_timers()
    run_soon()
  end
end

return loop
