-- before_instance: fills in what the operator left open, and says who owns it.
return function(event)
  return { config = { region = event.config.region or "eu-west-1", labels = { owner = "platform" } } }
end
