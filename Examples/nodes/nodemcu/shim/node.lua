-- NodeMCU's node module: the chip's name and its random numbers.
local rand = require("openssl.rand")

local node = { chip = 11242238 }

function node.chipid() return node.chip end

-- random(): a fraction of 1; random(n): 1 to n; random(m, n): m to n.
function node.random(low, high)
  if not low then return rand.uniform(2147483647) / 2147483647 end
  if not high then low, high = 1, low end
  return low + rand.uniform(high - low + 1)
end

return node
