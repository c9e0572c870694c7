// A run as one HTML file that needs nothing else: timeline, graph, table, logs, errors. Belongs to the thread
// of the run's loop.
#pragma once

#include <memory>
#include <string>

#include "orchestrator/events.h"
#include "report/book.h"

namespace pf::report {

/// Writes `file` when the run ends, whatever its result, as a whole; `tell` hears where that fails.
std::unique_ptr<orchestrator::Observer> make_html_report(std::string file, orchestrator::Observer& tell);

/// The page. Nothing in it is fetched from elsewhere, and its Content-Security-Policy lets nothing but its
/// own script and style work. Text of others is escaped; what is left out for its size is said.
std::string html_page(const Book& book, const orchestrator::RunFinished& event);

}  // namespace pf::report
