# What nvcc's programs need to find CUDA's libraries, also where those lie in Python's packages: `toolkit`, arguments for
# nvcc. Sourced.
toolkit=()
toolkit_root=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
for folder in "$toolkit_root"/lib64 "$toolkit_root"/targets/x86_64-linux/lib "$toolkit_root"/lib; do
  [ ! -d "$folder" ] || toolkit+=(-L"$folder" -Xlinker -rpath -Xlinker "$folder")
done
if [ ! -e "$toolkit_root/include/cublas_v2.h" ] && [ ! -e "$toolkit_root/targets/x86_64-linux/include/cublas_v2.h" ]; then
  # Wheels have no libNAME.so to link with.
  mkdir -p "$runtime/wheels"
  for folder in $(python3 -c 'import glob, site; print(*[f for s in site.getsitepackages() for f in glob.glob(s + "/nvidia/*")])'); do
    [ ! -d "$folder/include" ] || toolkit+=(-I"$folder/include")
    for library in "$folder"/lib/lib{cublas,cublasLt,cufft,cudart}.so.*; do
      [ ! -e "$library" ] || { ln -sf "$library" "$runtime/wheels/$(basename "${library%%.so*}").so"; toolkit+=(-Xlinker -rpath -Xlinker "$folder/lib"); }
    done
  done
  toolkit+=(-L"$runtime/wheels")
fi
