-- What kstatus makes of the conditions, so that Argo CD, Flux and Helm say the same; and Suspended where a person is waited for.
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for the operator to see what is declared"}
end

local function is(kind)
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == kind then
      return condition.status == "True"
    end
  end
  return false
end

local health = "Progressing"
if is("Stalled") then
  health = "Degraded"
elseif is("Ready") then
  health = "Healthy"
elseif status.phase == "Paused" then
  health = "Suspended"
end
return {status = health, message = status.message or ""}
