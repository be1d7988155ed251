// What there is to run on.
#include "launch.cuh"

using namespace argpick;

extern "C" int32_t argpick_device_probe(int32_t *count, int32_t *driver_version, int32_t *detail) {
  int32_t devices = 0;
  int32_t version = 0;
  int32_t status = ARGPICK_DEVICE_NO_DRIVER;
#ifdef __CUDACC__
  // Without a driver the version is 0 and the runtime calls the driver insufficient.
  const cudaError_t asked = cudaDriverGetVersion(&version);
  const cudaError_t found = cudaGetDeviceCount(&devices);
  const bool has_driver = asked == cudaSuccess && version != 0 && found != cudaErrorInsufficientDriver;
  status = !has_driver ? ARGPICK_DEVICE_NO_DRIVER
                       : found == cudaSuccess && devices > 0 ? ARGPICK_DEVICE_OK : ARGPICK_DEVICE_NO_DEVICE;
  const int32_t why = static_cast<int32_t>(found != cudaSuccess ? found : asked);
  // The failure is reported here; it must not be found by the next call of another library.
  (void)cudaGetLastError();
#else
  const int32_t why = 0;
#endif
  if (count != nullptr) {
    *count = status == ARGPICK_DEVICE_OK ? devices : 0;
  }
  if (driver_version != nullptr) {
    *driver_version = version;
  }
  return status == ARGPICK_DEVICE_OK ? status : fail(detail, status, why);
}

extern "C" uint32_t argpick_device_version(void) { return ARGPICK_DEVICE_VERSION; }
