-- on_error: a quota comes back by itself; one more attempt is worth it.
return function(event)
  if event.error.message:find("quota", 1, true) then return { retry = true } end
end
