/* Versions, statuses and their texts. */
#include "check.h"

int main(void) {
  CHECK(argpick_abi_version() == ARGPICK_ABI_VERSION);
  CHECK(argpick_numerics_version() == ARGPICK_NUMERICS_VERSION);
  CHECK(argpick_version() == ARGPICK_VERSION);
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", ARGPICK_VERSION_MAJOR, ARGPICK_VERSION_MINOR, ARGPICK_VERSION_PATCH);
  CHECK(strcmp(text, ARGPICK_VERSION_STRING) == 0);

  CHECK(strcmp(argpick_last_error(), "") == 0);
  check_detail(ARGPICK_OK, UINT64_MAX, NAN);
  CHECK(strcmp(argpick_status_message(ARGPICK_OK), "ok") == 0);
  CHECK(strstr(argpick_status_message(ARGPICK_ERR_BUSY), "thread") != NULL);
  const char *unknown = argpick_status_message(-1);
  CHECK(unknown != NULL && strlen(unknown) > 0);
  for (argpick_status status = 0; status < 300; status++) {
    const char *message = argpick_status_message(status);
    CHECK(message != NULL && strlen(message) > 1);
  }
  CHECK(argpick_status_message(ARGPICK_ERR_TEXT) != unknown);

  const char *level = argpick_kernel();
  CHECK(strcmp(level, "scalar") == 0 || strcmp(level, "portable") == 0 || strcmp(level, "avx2") == 0 ||
        strcmp(level, "avx512") == 0);

  /* Layouts of the first release. */
  CHECK(sizeof(argpick_config) == 208 && offsetof(argpick_config, seed) == 8);
  CHECK(offsetof(argpick_config, temperature) == 28 && offsetof(argpick_config, metrics) == 64);
  CHECK(sizeof(argpick_pick) == 80 && offsetof(argpick_pick, margin) == 24);
  CHECK(sizeof(argpick_candidate) == 12 && sizeof(argpick_diagnosis) == 56 && sizeof(argpick_diagnosis_limits) == 16);
  puts("versions and statuses: ok");
  return 0;
}
