-- NodeMCU's mqtt module over a TCP socket: MQTT 3.1.1, QoS 0 and 1.
--
-- Faithful to the firmware where a gateway could notice: packets wait in one queue and only its head is sent;
-- a QoS 1 PUBLISH stays the head until its PUBACK, and the head is sent AGAIN, the same bytes with the same
-- packet identifier and without DUP, whenever another packet arrives before that PUBACK and once a second; the acknowledgement
-- of a received PUBLISH waits behind it; the newest publish callback is called for every PUBACK.
local loop = require("loop")
local socket = require("socket")

local mqtt = {
  CONN_FAIL_SERVER_NOT_FOUND = -5,
  CONN_FAIL_NOT_A_CONNACK_MSG = -4,
  CONN_FAIL_TIMEOUT_RECEIVING = -2,
  lose_pubacks = {}, -- [n] = true: the n-th PUBACK of the process is taken for lost
  pubacks = 0,
}
local CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
local RECEIVE_TIMEOUT = 5

local Client = {}
Client.__index = Client

-- --------------------------------------------------------------- packets

local function u16(n) return string.char(math.floor(n / 256), n % 256) end
local function text(s) return u16(#s) .. s end

local function packet(first, body)
  local rest, digits = #body, {}
  repeat
    local digit = rest % 128
    rest = math.floor(rest / 128)
    digits[#digits + 1] = string.char(rest > 0 and digit + 128 or digit)
  until rest == 0
  return string.char(first) .. table.concat(digits) .. body
end

-- First byte, body and the bytes after it of the first packet in `data`; nil while it is incomplete.
local function cut(data)
  local length, scale = 0, 1
  for i = 2, 5 do
    local digit = data:byte(i)
    if not digit then return nil end
    length = length + digit % 128 * scale
    scale = scale * 128
    if digit < 128 then
      if #data < i + length then return nil end
      return data:byte(1), data:sub(i + 1, i + length), data:sub(i + length + 1)
    end
  end
  error("malformed Remaining Length")
end

-- ------------------------------------------------------------- the queue

local function next_id(self)
  self.last_id = self.last_id % 65535 + 1
  return self.last_id
end

local function forget_when_sent(entry)
  return entry.kind == "puback" or entry.kind == "pingreq" or (entry.kind == "publish" and entry.qos == 0)
end

local send_head

-- The firmware's "sent" event: what needs no answer leaves the queue.
local function sent(self, entry)
  if not self.up then return end
  self.sending = false
  if self.queue[1] ~= entry or not forget_when_sent(entry) then return end
  table.remove(self.queue, 1)
  if entry.kind == "publish" and self.on_puback then self.on_puback(self) end
  send_head(self)
end

local function write(self, bytes)
  local from = 1
  while from <= #bytes do
    local last, problem, partial = self.sock:send(bytes, from)
    if not last then
      if problem ~= "timeout" then return false end
      socket.select(nil, { self.sock }, 1)
    end
    from = (last or partial) + 1
  end
  return true
end

function send_head(self)
  local entry = self.queue[1]
  if not entry or self.sending or not self.up then return end
  self.sending = true
  self.last_sent = loop.now()
  if write(self, entry.bytes) then
    loop.soon(function() sent(self, entry) end)
  end -- else the read side sees the end of the connection
end

local function enqueue(self, entry)
  if not self.up then return false end
  self.queue[#self.queue + 1] = entry
  send_head(self)
  return true
end

local function answered(self, kind, id)
  local head = self.queue[1]
  if not (head and head.kind == kind and head.id == id) then return false end
  table.remove(self.queue, 1)
  return true
end

-- --------------------------------------------------------- the connection

local function shut(self)
  if not self.sock then return end
  loop.unwatch(self.sock)
  loop.cancel(self.ticker)
  self.sock:close()
  self.sock, self.up, self.sending, self.queue = nil, false, false, {}
end

local function fail(self, reason)
  shut(self)
  if self.on_fail then self.on_fail(self, reason) end
end

local function offline(self)
  local was_up = self.up
  shut(self)
  if was_up and self.handlers.offline then self.handlers.offline(self) end
  if not was_up and self.on_fail then self.on_fail(self, mqtt.CONN_FAIL_SERVER_NOT_FOUND) end
end

local function tick(self)
  self.ticker = loop.after(1, function() tick(self) end)
  if #self.queue == 0 and loop.now() - self.last_sent >= self.keepalive then
    enqueue(self, { kind = "pingreq", bytes = packet(0xC0, "") })
  else
    send_head(self)
  end
end

local function on_publish(self, first, body)
  local qos = math.floor(first / 2) % 4
  local topic_length = body:byte(1) * 256 + body:byte(2)
  local from = 3 + topic_length
  if qos == 1 then
    self.queue[#self.queue + 1] = { kind = "puback", bytes = packet(0x40, body:sub(from, from + 1)) }
    from = from + 2
  end
  local data = body:sub(from)
  if self.handlers.message then
    self.handlers.message(self, body:sub(3, 2 + topic_length), data ~= "" and data or nil)
  end
end

local function on_puback(self, body)
  mqtt.pubacks = mqtt.pubacks + 1
  if mqtt.lose_pubacks[mqtt.pubacks] then
    print("shim: PUBACK " .. mqtt.pubacks .. " lost on purpose")
    return
  end
  local id = body:byte(1) * 256 + body:byte(2)
  if answered(self, "publish", id) and self.on_puback then self.on_puback(self) end
end

local function on_packet(self, first, body)
  local kind = math.floor(first / 16)
  if not self.up then
    if kind ~= CONNACK then return fail(self, mqtt.CONN_FAIL_NOT_A_CONNACK_MSG) end
    local code = body:byte(2)
    if code ~= 0 then return fail(self, code) end
    loop.cancel(self.ticker)
    self.up = true
    tick(self)
    if self.on_connect then self.on_connect(self) end
    if self.handlers.connect then self.handlers.connect(self) end
  elseif kind == PUBLISH then
    on_publish(self, first, body)
  elseif kind == PUBACK then
    on_puback(self, body)
  elseif kind == SUBACK then
    if answered(self, "subscribe", body:byte(1) * 256 + body:byte(2)) and self.on_suback then self.on_suback(self) end
  elseif kind ~= PINGRESP then
    offline(self)
  end
end

local function on_readable(self)
  local sock = self.sock
  local data, problem, partial = sock:receive(65536)
  self.received = self.received .. (data or partial or "")
  while self.sock == sock do
    local first, body, rest = cut(self.received)
    if not first then break end
    self.received = rest
    on_packet(self, first, body)
  end
  if self.sock ~= sock then return end
  if problem == "closed" then return offline(self) end
  send_head(self)
end

local function open(self, host, port)
  self.sock = assert(socket.tcp())
  self.sock:settimeout(RECEIVE_TIMEOUT)
  if not self.sock:connect(host, port) then return fail(self, mqtt.CONN_FAIL_SERVER_NOT_FOUND) end
  self.sock:settimeout(0)
  self.sock:setoption("tcp-nodelay", true)
  self.received, self.last_sent = "", loop.now()
  loop.watch(self.sock, function() on_readable(self) end)
  self.ticker = loop.after(RECEIVE_TIMEOUT, function() fail(self, mqtt.CONN_FAIL_TIMEOUT_RECEIVING) end)
  local flags = (self.clean and 2 or 0) + (self.user and 128 or 0) + (self.password and 64 or 0)
  write(self, packet(0x10, text("MQTT") .. string.char(4, flags) .. u16(self.keepalive) .. text(self.id)
    .. (self.user and text(self.user) or "") .. (self.password and text(self.password) or "")))
end

-- ---------------------------------------------------------- NodeMCU's API

function mqtt.Client(id, keepalive, user, password, clean)
  return setmetatable({
    id = id, keepalive = keepalive or 60, user = user, password = password, clean = clean ~= 0,
    handlers = {}, queue = {}, last_id = 0, up = false, sending = false,
  }, Client)
end

function Client:on(event, handler) self.handlers[event] = handler end

-- connect(host[, port[, secure[, autoreconnect]]][, connected[, failed]])
function Client:connect(host, ...)
  local port, callbacks = 1883, {}
  for i = 1, select("#", ...) do
    local argument = select(i, ...)
    if i == 1 and type(argument) == "number" then port = argument end
    if i == 2 and argument == true then error("the shim has no TLS") end
    if type(argument) == "function" then callbacks[#callbacks + 1] = argument end
  end
  if self.sock then return false end
  self.on_connect, self.on_fail = callbacks[1], callbacks[2]
  loop.soon(function() open(self, host, port) end)
  return true
end

-- publish(topic, payload, qos, retain[, acknowledged])
function Client:publish(topic, payload, qos, retain, acknowledged)
  assert(qos == 0 or qos == 1, "the shim has no QoS 2")
  self.on_puback = acknowledged or self.on_puback
  local id = qos > 0 and next_id(self) or nil
  local first = 0x30 + qos * 2 + (retain == 1 and 1 or 0)
  local bytes = packet(first, text(topic) .. (id and u16(id) or "") .. payload)
  return enqueue(self, { kind = "publish", qos = qos, id = id, bytes = bytes })
end

-- subscribe(topic, qos[, acknowledged]) or subscribe({[topic] = qos}[, acknowledged])
function Client:subscribe(topics, ...)
  local acknowledged = select("#", ...) > 0 and select(select("#", ...), ...)
  if type(topics) ~= "table" then topics = { [topics] = (...) } end
  local id, body = next_id(self), {}
  for topic, qos in pairs(topics) do body[#body + 1] = text(topic) .. string.char(qos) end
  if type(acknowledged) == "function" then self.on_suback = acknowledged end
  return enqueue(self, { kind = "subscribe", id = id, bytes = packet(0x82, u16(id) .. table.concat(body)) })
end

function Client:close()
  if not self.sock then return false end
  if self.up then write(self, packet(0xE0, "")) end
  local was_up = self.up
  shut(self)
  if was_up and self.handlers.offline then
    loop.soon(function() self.handlers.offline(self) end)
  end
  return true
end

return mqtt
