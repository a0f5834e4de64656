#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

func usleepBriefly() { usleep(2_000) }
