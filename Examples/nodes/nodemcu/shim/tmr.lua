-- NodeMCU's tmr module: timer objects of one callback each.
local loop = require("loop")

local tmr = { ALARM_SINGLE = 0, ALARM_SEMI = 2, ALARM_AUTO = 1 }
local Timer = {}
Timer.__index = Timer

function tmr.create() return setmetatable({}, Timer) end

-- Microseconds, wrapping at 31 bits as on the chip.
function tmr.now() return math.floor(loop.now() * 1e6) % 2147483648 end

function Timer:register(interval, mode, callback)
  self:stop()
  self.interval_ms, self.mode, self.callback = interval, mode, callback
  return true
end

function Timer:start()
  if not self.callback or self.handle then return false end
  self.handle = loop.after(self.interval_ms / 1000, function()
    self.handle = nil
    local callback = self.callback
    if self.mode == tmr.ALARM_AUTO then self:start() end
    if self.mode == tmr.ALARM_SINGLE then self.callback = nil end
    callback(self)
  end)
  return true
end

function Timer:alarm(interval, mode, callback)
  self:register(interval, mode, callback)
  return self:start()
end

function Timer:stop()
  local running = self.handle ~= nil
  loop.cancel(self.handle)
  self.handle = nil
  return running
end

function Timer:unregister()
  self:stop()
  self.callback = nil
end

function Timer:interval(interval) self.interval_ms = interval end
function Timer:state() return self.callback and self.handle ~= nil or nil, self.mode end

return tmr
