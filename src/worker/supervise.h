// The seam for tests: a Supervisor over a Hub of any launcher and clock. Everything on the loop's thread.
#pragma once

#include <memory>

#include "base/json_fwd.h"
#include "worker/hub.h"
#include "worker/pool.h"
#include "worker/supervisor.h"

namespace pf::worker {

/// Takes the hub; closes it when it ends.
std::unique_ptr<Supervisor> supervise(std::shared_ptr<Hub> hub, Json sandbox);

}  // namespace pf::worker
