-- Runs the node (init.lua and sealgate.lua, unmodified) under Debian's lua5.1 with lua-socket and lua-luaossl.
--
-- lua5.1 shim/run.lua --keys FILE [--host 127.0.0.1] [--port 1883] [--id kitchen] [--count 1]
--   --keys FILE        the key file of `sealgate device` (TOML; the [[device]] of --id), or a .lua file that returns a
--                      table with node_id, static_iv, iv_key, data_key and passphrase
--   --data TEXT        a reading; %d becomes its number, from 1 (reading=%d)
--   --interval MS      between readings (5)           --deadline SECONDS   for all of it (30)
--   --data-topic T     (nodes/ID/data)                --session-topic T    (nodes/ID/sessionID)
--   --command-topic T  subscribe to it too and print what comes
--   --command T        a topic of sealed commands: print what opens, and send "done: …" as a reading; with it the end
--                      is that of --commands N (1)
--   --retry MS         before the first new connection (1000)    --ack-timeout MS (10000)
--   --lose-puback N    the N-th PUBACK is taken for lost, so that the node sends again; repeatable
-- Prints a line for every reading that the gateway has acknowledged. Exit status: 0 all of them, 1 not within
-- the deadline, 2 usage.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. here .. "/../?.lua;" .. package.path
io.stdout:setvbuf("line")

local loop = require("loop")
-- The firmware's modules are globals.
mqtt, crypto, node, tmr = require("mqtt"), require("crypto"), require("node"), require("tmr")

local function usage(problem)
  io.stderr:write("run.lua: ", problem, "\n")
  os.exit(2)
end

local options = {
  host = "127.0.0.1", port = 1883, id = "kitchen", count = 1, data = "reading=%d", interval = 5, deadline = 30,
  retry = 1000, ["ack-timeout"] = 10000, ["lose-puback"] = false,
  command = false, commands = 1,
  keys = false, ["data-topic"] = false, ["session-topic"] = false, ["command-topic"] = false,
}

local function read_options()
  for i = 1, #arg, 2 do
    local name, value = arg[i]:match("^%-%-(.+)$"), arg[i + 1]
    if not name or options[name] == nil then usage("unknown option " .. arg[i]) end
    if not value then usage(arg[i] .. " lacks its value") end
    if type(options[name]) == "number" or name == "lose-puback" then
      value = tonumber(value) or usage(arg[i] .. " takes a number")
    end
    if name == "lose-puback" then mqtt.lose_pubacks[value] = true else options[name] = value end
  end
end

-- As much TOML as a key file holds: [[device]] tables of one-line strings.
local function read_key_file(path, id)
  local file = io.open(path) or usage("cannot read " .. path)
  local device, found
  for line in file:lines() do
    if line:match("^%s*%[") then device = {} end
    local name, quote, rest = line:match("^%s*([%w_]+)%s*=%s*([\"'])(.*)$")
    if name and device then
      local value = rest:match(quote == "'" and "^([^']*)'" or "^(.-[^\\])\"") or ""
      if quote == '"' then value = value:gsub("\\(.)", "%1") end
      device[name] = value
      if name == "id" and value == id then found = device end
    end
  end
  file:close()
  return found or usage(path .. " has no device " .. id)
end

read_options()
if not options.keys then usage("--keys is missing") end
local keys = options.keys:match("%.lua$") and dofile(options.keys) or read_key_file(options.keys, options.id)

local taken, acknowledged, executed, results = 0, 0, 0, {}
if options.command then options.count = options.commands end
package.preload.config = function()
  return {
    host = options.host, port = options.port, id = options.id,
    node_id = keys.node_id, static_iv = keys.static_iv, iv_key = keys.iv_key, data_key = keys.data_key,
    passphrase = keys.passphrase,
    session_topic = options["session-topic"] or nil, data_topic = options["data-topic"] or nil,
    command_topic = options["command-topic"] or nil,
    command_topics = options.command and { options.command } or nil,
    on_command = function(topic, data)
      print("command " .. topic .. " " .. data)
      executed = executed + 1
      results[executed] = "done: " .. data
    end,
    retry = options.retry, ack_timeout = options["ack-timeout"], interval = options.interval,
    read = function()
      if taken == options.count then return nil end
      if options.command then
        if taken == executed then return nil end
        taken = taken + 1
        return results[taken]
      end
      taken = taken + 1
      return (options.data:gsub("%%d", tostring(taken)))
    end,
    on_acknowledged = function(reading)
      acknowledged = acknowledged + 1
      print("acknowledged " .. acknowledged .. "/" .. options.count .. " " .. reading)
      if acknowledged == options.count then loop.stop() end
    end,
  }
end

loop.after(options.deadline, function()
  io.stderr:write("run.lua: ", acknowledged, " of ", options.count, " acknowledged when the deadline came\n")
  os.exit(1)
end)
dofile(here .. "/../init.lua")
loop.run()
os.exit(acknowledged == options.count and 0 or 1)
