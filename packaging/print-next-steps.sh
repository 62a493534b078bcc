#!/bin/sh
# Prints the next steps, once, after the installation.
cat <<'END'
nvshare: installed. Programs share the GPUs through it when told to:
  docker:           nvshare-ctk runtime configure --runtime=docker
                    docker run --runtime=nvshare --gpus all IMAGE ...
  podman:           podman run --device nvidia.com/gpu=all IMAGE ...
  plain processes:  LD_PRELOAD=/usr/lib/nvshare/libnvshare.so PROGRAM
Is anything missing? nvshare-ctk doctor
To read: man nvshare; /usr/share/doc/nvshare/guide/getting-started.md
END
