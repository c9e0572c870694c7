local forge = require "forge"
local models = require "models"

local Terraform = forge.extension { config = models.Config }

function Terraform:execute()
  if self.config.region == "nowhere" then
    forge.fail { message = "there is no region 'nowhere'", retryable = false }
  end
  self.outputs.vpc_id = "vpc-1"
  self.outputs.region = self.config.region
  self.outputs.id = "id-" .. (self.config.cidr or "0")
  self.outputs.subnets = { { cidr = "10.0.1.0/24" }, { cidr = "10.0.2.0/24" } }
  self.outputs.token = self.config.token
end

return Terraform
