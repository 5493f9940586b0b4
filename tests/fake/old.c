/* A libcuda.so.1 from before all that we need. */
__attribute__((visibility("default"))) int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version)
{
    *version = 5000;
    return 0;
}
