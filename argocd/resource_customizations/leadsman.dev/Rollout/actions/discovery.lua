-- The operator says which commands it would carry out now; those that it would refuse are there and disabled.
local names = {
  promote = "Promote: end this pause or analysis",
  ["promote-full"] = "Promote in full: end all that remain",
  abort = "Abort: roll back and reject",
  retry = "Retry what was rejected",
  pause = "Pause",
  resume = "Resume",
  rollback = "Roll back to what was stable before",
}
local actions = {}
for verb, name in pairs(names) do
  actions[verb] = {disabled = true, displayName = name}
end
for _, command in ipairs(obj.status ~= nil and obj.status.commands or {}) do
  if actions[command.verb] ~= nil then
    actions[command.verb].disabled = command.refused ~= nil
  end
end
actions.restart = {disabled = false, displayName = "Restart pods"}
return actions
