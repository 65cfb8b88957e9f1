-- NodeMCU's crypto module over OpenSSL, as far as a sealed node needs it: AES-128 only, as on the chip.
local cipher = require("openssl.cipher")
local hmac = require("openssl.hmac")

local crypto = {}

local function cbc(algorithm, key, iv)
  assert(algorithm == "AES-CBC", "unknown cipher: " .. tostring(algorithm))
  assert(#key == 16, "key must be 16 bytes")
  assert(iv and #iv == 16, "iv must be 16 bytes")
  return cipher.new("AES-128-CBC"), key, iv
end

-- Pads with zero bytes up to a multiple of 16 and adds nothing to an exact multiple.
function crypto.encrypt(algorithm, key, plain, iv)
  local aes = cbc(algorithm, key, iv)
  if plain == "" then return "" end
  return aes:encrypt(key, iv, false):final(plain .. ("\0"):rep(-#plain % 16))
end

function crypto.decrypt(algorithm, key, text, iv)
  local aes = cbc(algorithm, key, iv)
  if text == "" then return "" end
  return aes:decrypt(key, iv, false):final(text)
end

function crypto.hmac(algorithm, text, key)
  return hmac.new(key, algorithm:lower()):final(text)
end

function crypto.toHex(text)
  return (text:gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

return crypto
