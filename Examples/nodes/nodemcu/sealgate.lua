-- A sealed node for NodeMCU firmware (Lua 5.1; modules: mqtt, crypto, node, tmr).
--
--   local gate = require("sealgate").new(require("config"))
--   gate:start()
--   gate:send("adc=512", function() print("on the gateway's disk") end)
--
-- The gateway publishes one-time session IDs, retained, on the node's session topic. Every reading is
-- encrypted, authenticated together with the current ID (the "v1" format of sealed payloads) and published
-- at QoS 1. It stays with the node until the gateway's PUBACK has come: if none comes, the node connects
-- again and sends the SAME bytes, which the gateway acknowledges without forwarding them twice.
-- One reading is on its way at a time; `busy` says so, and `send` refuses a second one.
--
-- Commands come sealed the same way, the other way round: for each of config.command_topics the node publishes a
-- session ID of its own on <topic>/sessionID, and the gateway seals the next command under it. The first command that
-- opens uses it up, so that the same bytes open nothing a second time.

local M = {}

-- crypto.toHex of older firmware moved to the encoder module.
local to_hex = encoder and encoder.toHex or crypto.toHex

-- Secrets are text, or "hex:…" where their bytes are not printable.
local function bytes(secret)
  local digits = secret:match("^hex:(%x*)$")
  if not digits then return secret end
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- 16 printable bytes, padded with spaces, not zeros. 31 bits a half: the largest random number that builds
-- with and without floating point agree on.
local function random_iv()
  return string.format("%8x%8x", node.random(0, 2147483647), node.random(0, 2147483647))
end

-- The four comma-separated fields of a v1 payload. crypto.encrypt pads with zero bytes by itself.
function M.seal(keys, iv, data, session)
  local mac = crypto.hmac("SHA1", keys.node_id .. iv .. data .. session, keys.passphrase)
  return table.concat({
    to_hex(crypto.encrypt("AES-CBC", keys.iv_key, iv, keys.static_iv)),
    to_hex(crypto.encrypt("AES-CBC", keys.data_key, keys.node_id, iv)),
    to_hex(crypto.encrypt("AES-CBC", keys.data_key, data, iv)),
    to_hex(mac),
  }, ",")
end

local function from_hex(digits)
  if not digits:match("^%x*$") or #digits % 2 == 1 then return nil end
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function zeropad(text) return text .. ("\0"):rep(-#text % 16) end

-- Whether two strings are equal, in a time that does not tell where they are not.
local function equal(a, b)
  if #a ~= #b then return false end
  local difference = 0
  for i = 1, #a do difference = difference + math.abs(a:byte(i) - b:byte(i)) end
  return difference == 0
end

-- What a payload in hex form holds; nil for every reason why it does not verify.
function M.open(keys, payload, session)
  local first, second, third, mac = payload:match("^([^,]*),([^,]*),([^,]*),([^,]*)$")
  if not first then return nil end
  local enc_iv, enc_id, enc_data = from_hex(first), from_hex(second), from_hex(third)
  local padded_id = zeropad(keys.node_id)
  if not (enc_iv and enc_id and enc_data) then return nil end
  if #enc_iv ~= 16 or #enc_id ~= #padded_id or #enc_data % 16 ~= 0 then return nil end
  local iv = crypto.decrypt("AES-CBC", keys.iv_key, enc_iv, keys.static_iv)
  local padded = enc_data == "" and "" or crypto.decrypt("AES-CBC", keys.data_key, enc_data, iv)
  if not equal(crypto.decrypt("AES-CBC", keys.data_key, enc_id, iv), padded_id) then return nil end
  -- How many of the last zero bytes are padding only the MAC can tell: at most 16 candidates.
  local shortest = math.max(#(padded:match("^(.-)%z*$")), #padded - 15, 0)
  for length = shortest, #padded do
    local data = padded:sub(1, length)
    local expected = to_hex(crypto.hmac("SHA1", keys.node_id .. iv .. data .. session, keys.passphrase))
    if equal(expected, mac:lower()) then return data end
  end
  return nil
end

-- 93 random bits.
local function random_id()
  local function part() return string.format("%08x", node.random(0, 2147483647)) end
  return part() .. part() .. part()
end

local Node = {}
Node.__index = Node

-- config: see config.lua.example.
function M.new(config)
  local keys = { node_id = tostring(config.node_id or node.chipid()) }
  for _, name in ipairs({ "static_iv", "iv_key", "data_key", "passphrase" }) do
    keys[name] = bytes(assert(config[name], "config: " .. name .. " is missing"))
  end
  return setmetatable({
    config = config,
    keys = keys,
    session_topic = config.session_topic or ("nodes/" .. config.id .. "/sessionID"),
    data_topic = config.data_topic or ("nodes/" .. config.id .. "/data"),
    ack_timeout = config.ack_timeout or 10000, -- ms without a PUBACK before the connection counts as lost
    retry = config.retry or 1000, -- ms before the first new connection; doubled up to a minute
    resend_limit = config.resend_limit or 3, -- connections that carry the same bytes before they are sealed anew
    wait = config.retry or 1000,
    timer = tmr.create(),
    client = nil, -- of the present connection; callbacks of an older one are ignored
    session = nil, -- newest session ID that no payload has used
    spent = nil, -- session ID of the newest payload
    pending = nil, -- { data, done, payload, tries, sent_by }: the reading on its way
    command_ids = {}, -- by command topic: session ID of its next command, and of that alone
    unsent = {}, -- command topics whose session ID is yet to be published
    publishing = false, -- a session ID is on its way: the firmware has one callback for all PUBACKs
  }, Node)
end

function Node:busy()
  return self.pending ~= nil
end

-- Takes a reading (a string); `done` is called when the gateway has acknowledged it. False when busy.
function Node:send(data, done)
  if self.pending then return false end
  self.pending = { data = data, done = done, tries = 0 }
  self:advance()
  return true
end

-- A new session ID for the next command on the topic.
function Node:issue(topic)
  self.command_ids[topic] = random_id()
  self.unsent[#self.unsent + 1] = topic
  self:advance()
end

-- Publishes what session IDs wait, one after the other, without RETAIN: a reset forgets them.
function Node:publish_id()
  local client, topic = self.client, table.remove(self.unsent, 1)
  self.publishing = true
  self.timer:alarm(self.ack_timeout, tmr.ALARM_SINGLE, function()
    client:close()
    self:lost(client, "no PUBACK")
  end)
  client:publish(topic .. "/sessionID", self.command_ids[topic], 1, 0, function(from)
    if from ~= self.client or not self.publishing then return end
    self.timer:stop()
    self.publishing = false
    self:advance()
  end)
end

-- Seals what waits, as soon as there is a session ID to seal it with.
function Node:advance()
  local pending = self.pending
  if not self.client or self.publishing or (pending and pending.sent_by == self.client) then return end
  if #self.unsent > 0 then return self:publish_id() end
  if pending and pending.payload then return self:transmit() end -- of a connection before this one
  if not (pending and not pending.payload and self.session and self.client) then return end
  pending.payload = M.seal(self.keys, random_iv(), pending.data, self.session)
  self.spent, self.session = self.session, nil
  self:transmit()
end

function Node:transmit()
  local client, pending = self.client, self.pending
  pending.tries, pending.sent_by = pending.tries + 1, client
  self.timer:alarm(self.ack_timeout, tmr.ALARM_SINGLE, function()
    client:close()
    self:lost(client, "no PUBACK")
  end)
  client:publish(self.data_topic, pending.payload, 1, 0, function(from)
    if from ~= self.client or self.pending ~= pending then return end
    self.timer:stop()
    self.pending = nil
    self.wait = self.retry
    if pending.done then pending.done() end
    self:advance()
  end)
end

function Node:on_command(topic, payload)
  local data = M.open(self.keys, payload, self.command_ids[topic])
  if not data then
    print("sealgate: refused " .. topic .. ": replayed, or not from the gateway")
    return
  end
  self:issue(topic) -- first, so that nothing opens under the old one any more
  if self.config.on_command then self.config.on_command(topic, data) end
end

function Node:on_message(topic, data)
  if self.command_ids[topic] then return self:on_command(topic, data or "") end
  if topic ~= self.session_topic then
    if self.config.on_command then self.config.on_command(topic, data or "") end
    return
  end
  -- The ID of the payload on its way may be retained still: that payload is the one to send again.
  if not data or data == self.spent then return end
  -- One of its own: sealed under it, a reading could be played back to it as a command.
  for _, id in pairs(self.command_ids) do if data == id then return end end
  self.session = data
  self:advance()
end

function Node:subscribed()
  for _, topic in ipairs(self.config.command_topics or {}) do self:issue(topic) end
  self:advance()
end

function Node:lost(client, why)
  if client ~= self.client then return end
  self.client, self.session = nil, nil
  self.command_ids, self.unsent, self.publishing = {}, {}, false
  print("sealgate: connection lost (" .. tostring(why) .. "), again in " .. self.wait .. " ms")
  self.timer:alarm(self.wait, tmr.ALARM_SINGLE, function() self:start() end)
  self.wait = math.min(self.wait * 2, 60000)
end

-- Connects, now and after every loss. Every connection gets a client of its own, so that a PUBACK or an
-- "offline" that is late can't be taken for the present connection's.
function Node:start()
  local config, pending = self.config, self.pending
  if pending and pending.payload and pending.tries >= self.resend_limit then
    -- Sent again and again without an answer: a gateway that was restarted has forgotten the ID it is sealed with.
    pending.payload, pending.tries, self.spent = nil, 0, nil
  end
  local client = mqtt.Client(config.client_id or config.id, config.keepalive or 60, config.user, config.password)
  self.client = client
  client:on("message", function(from, topic, data)
    if from == self.client then self:on_message(topic, data) end
  end)
  client:on("offline", function(from) self:lost(from, "offline") end)
  local topics = { [self.session_topic] = 1 }
  if config.command_topic then topics[config.command_topic] = 1 end
  for _, topic in ipairs(config.command_topics or {}) do topics[topic] = 1 end
  client:connect(config.host, config.port or 1883, function(from)
    from:subscribe(topics, function() if from == self.client then self:subscribed() end end)
  end, function(from, reason) self:lost(from, reason) end)
end

return M
