// small-config: has 512 bytes for its config and ignores the answer, as one
// shipped plugin does. A longer config gives -3 and the check is OK anyway.
// Without libc, so it runs with runtime: none.
#include "host.h"

static char config[512], doc[] = "{\"status\":\"OK\",\"summary\":\"config answered           .\"}";

EXPORT("run_check") void run_check(void) {
  int n = get_config(config, sizeof config);
  unsigned left = n < 0 ? 0u - (unsigned)n : (unsigned)n;
  char *p = doc + sizeof doc - sizeof ".\"}";
  do *--p = (char)('0' + left % 10);
  while ((left /= 10) != 0);
  if (n < 0) *--p = '-';
  submit_result(doc, sizeof doc - 1);
}
