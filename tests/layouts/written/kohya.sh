#!/bin/bash
export DATA="img"
accelerate launch --num_cpu_threads_per_process 1 sdxl_train_network.py \
  --pretrained_model_name_or_path=sd_xl_base_1.0.safetensors \
  --train_data_dir="$DATA" --resolution=1024,1024 --caption_extension=.txt \
  --network_module=networks.lora --enable_bucket --shuffle_caption --keep_tokens=1
