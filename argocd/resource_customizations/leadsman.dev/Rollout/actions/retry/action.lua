-- Written by cargo xtask chart. The command goes to the revision that the operator offers it for.
local verb = "retry"
local hash = nil
for _, command in ipairs(obj.status ~= nil and obj.status.commands or {}) do
  if command.verb == verb then
    hash = command.hash
  end
end
if hash == nil then
  error(verb .. " is not offered in phase " .. tostring(obj.status ~= nil and obj.status.phase))
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["leadsman.dev/command"] = verb .. "/" .. hash .. "/argo-cd-" .. obj.metadata.resourceVersion
obj.metadata.annotations["leadsman.dev/command-by"] = "Argo CD"
return obj
