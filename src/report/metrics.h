// The metrics of a run as OpenMetrics text, for Prometheus' textfile collector and the like. Belongs to the
// thread of the run's loop.
#pragma once

#include <memory>
#include <string>

#include "orchestrator/events.h"

namespace pf::report {

/// Writes `file` when the run ends, as a whole; `tell` hears where that fails.
std::unique_ptr<orchestrator::Observer> make_metrics(std::string file, orchestrator::Observer& tell);

}  // namespace pf::report
