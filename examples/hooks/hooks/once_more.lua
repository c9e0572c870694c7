-- on_error: a quota comes back by itself; three more attempts are worth it.
return function(event)
  if event.error.message:find("quota", 1, true) and event.attempt < 4 then return { retry = true } end
end
