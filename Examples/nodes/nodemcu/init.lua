-- Runs at power-up: joins the Wi-Fi network (where there is a wifi module), then sends a reading of
-- config.read() every config.interval milliseconds. A tick is left out while the reading before is unacknowledged.
local config = require("config")
local gate = require("sealgate").new(config)

local function run()
  gate:start()
  tmr.create():alarm(config.interval or 10000, tmr.ALARM_AUTO, function()
    if gate:busy() then return end
    local reading = config.read()
    if reading == nil then return end
    gate:send(tostring(reading), function()
      if config.on_acknowledged then config.on_acknowledged(reading) end
    end)
  end)
end

if wifi and config.wifi then
  local started = false
  wifi.eventmon.register(wifi.eventmon.STA_GOT_IP, function()
    if started then return end -- after a new lease the library connects by itself
    started = true
    run()
  end)
  wifi.setmode(wifi.STATION)
  wifi.sta.config(config.wifi)
else
  run()
end
