-- Routes radiographs to the node, and, as a careless archive would, the node's own results too: the node
-- has to bear that. `origin` tells who stored an instance; what this script sends itself comes from "Lua".
local routed = { CR = true, DX = true, SR = true, OT = true }

function OnStoredInstance(instanceId, tags, metadata, origin)
  if origin['RequestOrigin'] ~= 'Lua' and routed[tags['Modality']] then
    SendToModality(instanceId, 'node')
  end
end
