export INSTANCE_DIR="closeup"   # the pictures
export OUTPUT_DIR="out"

accelerate launch train_dreambooth_lora_sdxl.py \
  --pretrained_model_name_or_path=stabilityai/stable-diffusion-xl-base-1.0 \
  --instance_data_dir=$INSTANCE_DIR \
  --instance_prompt="a photo of ohwx person" --repeats=2 \
  --with_prior_preservation --class_data_dir=reg --class_prompt="a photo of a person" \
  --resolution=1024 --center_crop --output_dir=$OUTPUT_DIR --seed="42"
