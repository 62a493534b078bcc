# For a rehearsal without a GPU: NVSHARE_TEST_DRIVER is the simulated libcuda (target/debug/libfakecuda.so), which then
# stands in for the real one, beside an nvidia-smi that tells of its card and, for Python, the folder rehearsal.
# Everything is REHEARSAL_SCALE times smaller in the host's memory than the card believes. Sourced by common.sh.
[ -f "$NVSHARE_TEST_DRIVER" ] || { echo "NVSHARE_TEST_DRIVER=$NVSHARE_TEST_DRIVER: no such file" >&2; exit 2; }
stage=$(mktemp -d)
mkdir "$stage/lib" "$stage/card"
ln -s "$(realpath "$NVSHARE_TEST_DRIVER")" "$stage/lib/libcuda.so.1"
cat >"$stage/nvidia-smi" <<'SH'
#!/bin/sh
case "$*" in
*-L*) i=0; while [ $i -lt "${FAKECUDA_DEVICES:-1}" ]; do echo "GPU $i: simulated"; i=$((i + 1)); done ;;
*compute-apps*) ;;
*index,name,uuid,memory.total*) echo "0, Simulated GPU 0, GPU-66616b65-6375-6461-2d64-657669636500, 81920, 0" ;;
*=uuid*) echo GPU-66616b65-6375-6461-2d64-657669636500 ;;
*name,memory.total*) echo "SIMULATED, 81920, 0" ;;
*memory.free*) echo 80000 ;;
*) echo simulated ;;
esac
SH
chmod +x "$stage/nvidia-smi"
export PATH="$stage:$PATH" LD_LIBRARY_PATH="$stage/lib" FAKECUDA_DIR="$stage/card"
export REHEARSAL_SCALE=${REHEARSAL_SCALE:-128} PYTHONPATH="$gpu_tests/rehearsal${PYTHONPATH:+:$PYTHONPATH}"
export FAKECUDA_CARD=h200 FAKECUDA_MEMORY=${FAKECUDA_MEMORY:-80GiB} FAKECUDA_BYTE_SCALE=$REHEARSAL_SCALE
