#include "orchestrator/errors.h"

#include "base/text.h"

namespace pf::orchestrator {

Error instance_deadline(Milliseconds deadline) {
  Error error;
  error.code = "deadline.instance";
  error.message = "the instance took longer than its deadline of " + format_duration(deadline) +
                  ", counted over all of its attempts";
  error.hint = "raise its deadline, or see in the log what its attempts did";
  error.retryable = false;
  return error;
}

Error pipeline_deadline(Milliseconds deadline) {
  Error error;
  error.code = "deadline.pipeline";
  error.message = "the pipeline took longer than its deadline of " + format_duration(deadline);
  error.hint = "go on with `run --resume`, or raise core.deadline";
  error.retryable = false;
  return error;
}

Error program_interrupted() {
  Error error;
  error.code = "job.cancelled";
  error.message = "cancelled: a program of this attempt was interrupted, and did not end with status 0";
  error.hint = "go on with `run --resume`";
  error.retryable = false;
  return error;
}

}  // namespace pf::orchestrator
