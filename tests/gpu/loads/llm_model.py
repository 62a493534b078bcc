"""A language model of random weights in a directory, as `from_pretrained` reads one: nothing is downloaded.
usage: llm_model.py DIRECTORY GIB"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

directory, gib = sys.argv[1], float(sys.argv[2])
# A token is a byte.
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
tokens = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokens.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, model_input_names=["input_ids", "attention_mask"])
tokenizer.save_pretrained(directory)

width, inner = 2048, 8192
layer = (4 * width * width + 3 * width * inner) * 2
config = LlamaConfig(
    vocab_size=len(alphabet),
    hidden_size=width,
    intermediate_size=inner,
    num_hidden_layers=max(1, round(gib * 2**30 / layer)),
    num_attention_heads=16,
    num_key_value_heads=16,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=0,
)
torch.manual_seed(1)
torch.set_default_dtype(torch.bfloat16)
with torch.device("cuda"):
    model = LlamaForCausalLM(config)
model.generation_config.eos_token_id = None
model.save_pretrained(directory)
print(sum(p.numel() * p.element_size() for p in model.parameters()), "bytes")
