"""The public programs that compare.py runs: where each comes from, its arguments, the data it needs."""
from __future__ import annotations

from dataclasses import dataclass, field

REPOSITORIES = {  # name on GitHub: the commit that is run
    "pytorch/examples": "77f55b912142e11fcfdf5b530231fb9c52f181e8",
    "karpathy/minGPT": "37baab71b9abea1b76ab957409a1cc2fbfba8a26",
    "karpathy/nanoGPT": "3adf61e154c3fe3fca428ad6bc3818b27a3b8291",
    "karpathy/makemore": "988aa59e4d8fefa526d06f3b453ad116258398d4",
    "yunjey/pytorch-tutorial": "0500d3df5a2a8080ccfccbc00aca0eacc21818db",
    "MorvanZhou/PyTorch-Tutorial": "dbe154a9e56635e51c6b0c2ccea8ae36cfb585a7",
    "graykode/nlp-tutorial": "d05e31ec81d56d70c1db89b99ab07e948f7ebc11",
    "kuangliu/pytorch-cifar": "49b7aa97b0c12fe0d4054e670403a16b6b834ddd",
    "eriklindernoren/PyTorch-GAN": "36d3c77e5ff20ebe0aeefd322326a134a279b93e",
    "seungeunrho/minimalRL": "c8efed8481e3cd40e9739cfde220a55522555b57",
    "jcjohnson/pytorch-examples": "0003fcdc606a79951e53bf8f46f8574fa4739f23",
    "hunkim/PyTorchZeroToAll": "e5a260fac0b4ff1e2ec434fc6f0d962ac97fc289",
    "vinhkhuc/PyTorch-Mini-Tutorials": "bb967869a6ad2c3919b67b0623ce33e36349d413",
    "karpathy/ng-video-lecture": "52201428ed7b46804849dea0b3ccf0de9df1a5c3",
    "locuslab/TCN": "2f8c2b817050206397458dfd1f5a25ce8a32fe65",
    "tkipf/pygcn": "1600b5b748b3976413d1e307540ccc62605b4d6d",
    "Diego999/pyGAT": "3664f2dc90cbf971564c0bf186dc794f12446d0c",
    "kamenbliznashki/normalizing_flows": "97a73a01bcee3ac8015dfeeb3cffb035ec39a1f2",
    "vwxyzjn/cleanrl": "fe8d8a03c41a7ef5b523e2e354bd01c363e786bb",
    "rtqichen/torchdiffeq": "657943acefa826ef04c025ebeb1ff5e9d60dc268",
    "davda54/sam": "3c3afdbd71cff2462ec91c734b3d1170bd0f3707",
    "salesforce/awd-lstm-lm": "1d466ec5875675ca6b6f0caacbb741240a29da9e",
}


@dataclass(frozen=True)
class Program:
    """One program: started in its own folder with `arguments`, ended after `steps` calls of `backward()`.

    `data` maps a place, relative to that folder, to a name in `layout.SOURCES`. `before` names programs, by
    their paths from there, that must have run.
    """

    repository: str
    path: str
    arguments: str = ""
    steps: int = 100
    data: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    name: str = ""


def _examples() -> list[Program]:
    mnist = {"../data/MNIST": "mnist"}
    words = "--data corpus --emsize 32 --nhid 32 --epochs 1 --batch_size 20 --log-interval 20"

    def example(path: str, arguments: str = "", **more) -> Program:
        return Program("pytorch/examples", path, arguments, **more)

    return [
        example("mnist/main.py", "--epochs 1", data=mnist),
        example("mnist_rnn/main.py", "--epochs 1", data=mnist),
        example("mnist_forward_forward/main.py", "--epochs 40 --train_size 500 --test_size 100",
                data={"data/MNIST": "mnist"}),
        example("mnist_hogwild/main.py", "--epochs 1 --num-processes 1 --dry-run", data=mnist),
        example("vae/main.py", "--epochs 1", data=mnist),
        example("siamese_network/main.py", "--epochs 1 --batch-size 8", steps=30, data=mnist),
        example("dcgan/main.py", "--dataset fake --batchSize 4 --imageSize 64 --ngf 16 --ndf 16 "
                "--manualSeed 1 --workers 0", steps=30),
        example("gat/main.py", "--epochs 5 --val-every 1", data={"cora.tgz": "cora archive"}),
        example("gcn/main.py", "--epochs 50 --val-every 1", data={"cora.tgz": "cora archive"}),
        example("imagenet/main.py", "--dummy -a resnet18 -b 2 -j 0 --epochs 1 --seed 1 -p 1", steps=6),
        example("regression/main.py"),
        example("reinforcement_learning/reinforce.py", steps=40),
        example("reinforcement_learning/actor_critic.py", steps=40),
        example("super_resolution/main.py", "--upscale_factor 4 --batchSize 2 --nEpochs 2 --threads 0",
                data={"dataset/BSDS300/images": "pictures"}),
        *(example("word_language_model/main.py", f"{words} --model {model}{more}",
                  data={"corpus": "corpus"}, name=f"examples word_language_model {model}")
          for model, more in [("LSTM", " --tied --lr 2"), ("GRU", " --lr 2"),
                              ("RNN_TANH", " --use-optimizer --lr 0.001"), ("Transformer", " --lr 1")]),
    ]


def _language_models() -> list[Program]:
    nano = "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=2 --log_interval=1 "
    nano += "--block_size=32 --batch_size=8 --n_layer=2 --n_head=2 --n_embd=32 "
    nano += "--max_iters=60 --lr_decay_iters=60"
    mini = "--trainer.max_iters=60 --trainer.batch_size=8 --trainer.num_workers=0"
    make = "--max-steps 60 --num-workers 0 --n-layer 2 --n-embd 32 --n-embd2 32"
    return [
        Program("karpathy/nanoGPT", "train.py", nano, before=("data/shakespeare_char/prepare.py",),
                data={"data/shakespeare_char/input.txt": "text"}),
        Program("karpathy/ng-video-lecture", "bigram.py"),
        Program("karpathy/minGPT", "projects/adder/adder.py", mini + " --model.model_type=gpt-nano"),
        Program("karpathy/minGPT", "projects/chargpt/chargpt.py",
                mini + " --model.model_type=gpt-nano --data.block_size=32", data={"input.txt": "text"}),
        *(Program("karpathy/makemore", "makemore.py", f"{make} --type {model}", name=f"makemore {model}")
          for model in ["transformer", "bigram", "mlp", "rnn", "gru", "bow"]),
    ]


def _tutorials() -> list[Program]:
    mnist, cifar = {"../../data/MNIST": "mnist"}, {"../../data/cifar-10-batches-py": "cifar10"}
    yunjey = {"01-basics/feedforward_neural_network": mnist, "01-basics/linear_regression": {},
              "01-basics/logistic_regression": mnist,
              "02-intermediate/bidirectional_recurrent_neural_network": mnist,
              "02-intermediate/convolutional_neural_network": mnist,
              "02-intermediate/deep_residual_network": cifar,
              "02-intermediate/language_model": {"data/train.txt": "short text"},
              "02-intermediate/recurrent_neural_network": mnist,
              "03-advanced/generative_adversarial_network": mnist,
              "03-advanced/variational_autoencoder": mnist}
    morvan = ["202_variable", "203_activation", "301_regression", "302_classification",
              "303_build_nn_quickly", "304_save_reload", "305_batch_train", "306_optimizer", "401_CNN",
              "402_RNN_classifier", "403_RNN_regressor", "404_autoencoder",
              "406_GAN", "501_why_torch_dynamic_graph", "503_dropout",
              "504_batch_normalization"]
    nlp = ["1-1.NNLM/NNLM", "1-2.Word2Vec/Word2Vec-Skipgram(Softmax)", "2-1.TextCNN/TextCNN",
           "3-1.TextRNN/TextRNN", "3-2.TextLSTM/TextLSTM", "3-3.Bi-LSTM/Bi-LSTM", "4-1.Seq2Seq/Seq2Seq",
           "4-2.Seq2Seq(Attention)/Seq2Seq(Attention)", "4-3.Bi-LSTM(Attention)/Bi-LSTM(Attention)",
           "5-1.Transformer/Transformer(Greedy_decoder)", "5-1.Transformer/Transformer", "5-2.BERT/BERT"]
    johnson = ["autograd/two_layer_net_autograd", "autograd/two_layer_net_custom_function", "nn/dynamic_net",
               "nn/two_layer_net_module", "nn/two_layer_net_nn", "nn/two_layer_net_optim",
               "tensor/two_layer_net_tensor"]
    return [
        *(Program("yunjey/pytorch-tutorial", f"tutorials/{path}/main.py", data=data,
                  steps=10 if "residual" in path else 30 if "language" in path else 100)
          for path, data in yunjey.items()),
        *(Program("MorvanZhou/PyTorch-Tutorial", f"tutorial-contents/{path}.py",
                  data={"mnist/MNIST": "mnist"}) for path in morvan),
        *(Program("graykode/nlp-tutorial", f"{path}.py", steps=10 if "BERT" in path else 50) for path in nlp),
        *(Program("jcjohnson/pytorch-examples", f"{path}.py") for path in johnson),
        Program("kuangliu/pytorch-cifar", "main.py", steps=2, data={"data/cifar-10-batches-py": "cifar10"}),
    ]


def _lessons() -> list[Program]:
    zero = ["02_manual_gradient", "03_auto_gradient", "05_linear_regression", "06_logistic_regression",
            "07_diabets_logistic", "08_2_dataset_loade_logistic", "09_01_softmax_loss", "09_2_softmax_mnist",
            "10_1_cnn_mnist", "12_1_rnn_basics", "12_2_hello_rnn", "12_4_hello_rnn_emb",
            "13_1_rnn_classification_basics", "13_4_pack_pad"]
    return [
        *(Program("hunkim/PyTorchZeroToAll", f"{path}.py", steps=40,
                  data={"data/MNIST": "mnist", "mnist_data/MNIST": "mnist"}) for path in zero),
        *(Program("vinhkhuc/PyTorch-Mini-Tutorials", f"{path}.py")
          for path in ["0_multiply", "1_linear_regression"]),
        Program("locuslab/TCN", "TCN/adding_problem/add_test.py",  # --cuda switches CUDA off
                "--cuda --levels 3 --seq_len 50 --epochs 1"),
        Program("locuslab/TCN", "TCN/copy_memory/copymem_test.py",
                "--cuda --levels 3 --blank_len 50 --epochs 1 --iters 100"),
        Program("locuslab/TCN", "TCN/mnist_pixel/pmnist_test.py",
                "--cuda --levels 3 --epochs 1 --batch_size 8", steps=30, data={"data/mnist/MNIST": "mnist"}),
        Program("locuslab/TCN", "TCN/poly_music/music_test.py", "--cuda --levels 2 --nhid 20 --epochs 1"),
        Program("tkipf/pygcn", "pygcn/train.py", "--epochs 50", data={"../data/cora": "cora"}),
        Program("Diego999/pyGAT", "train.py", "--epochs 4 --nb_heads 2", data={"data/cora": "cora"}),
        Program("Diego999/pyGAT", "train.py", "--epochs 4 --nb_heads 2 --sparse", data={"data/cora": "cora"},
                name="pyGAT train.py --sparse"),
    ]


def _gans_and_agents() -> list[Program]:
    gans = ["gan", "dcgan", "wgan", "wgan_gp", "wgan_div", "lsgan", "acgan", "aae", "cgan", "infogan",
            "ebgan", "sgan", "relativistic_gan"]
    agents = ["REINFORCE", "actor_critic", "acer", "dqn", "ppo", "ppo-lstm", "ppo-continuous", "sac",
              "vtrace"]
    return [
        *(Program("eriklindernoren/PyTorch-GAN", f"implementations/{gan}/{gan}.py",
                  "--batch_size 8 --n_epochs 1", steps=40,
                  data={"../../data/mnist/MNIST": "mnist", "data/mnist/MNIST": "mnist"}) for gan in gans),
        Program("kamenbliznashki/normalizing_flows", "planar_flow.py",
                "--train --target_potential u_z1 --n_steps 40 --flow_length 4", steps=40),
        *(Program("seungeunrho/minimalRL", f"{agent}.py") for agent in agents),
    ]


def _science_and_agents() -> list[Program]:
    learn = "--total-timesteps 1200 --learning-starts 200 --buffer-size 1000"
    ode = "--data_size 200 --batch_time 5 --batch_size 5"
    words = "--data corpus --emsize 32 --nhid 32 --nlayers 2 --batch_size 20 --bptt 20 --epochs 1 --cuda"
    return [
        Program("vwxyzjn/cleanrl", "cleanrl/ppo.py", "--total-timesteps 1024 --num-steps 32"),
        Program("vwxyzjn/cleanrl", "cleanrl/dqn.py", learn, steps=60),
        Program("vwxyzjn/cleanrl", "cleanrl/c51.py", learn, steps=60),
        Program("vwxyzjn/cleanrl", "cleanrl/pqn.py", "--total-timesteps 2000", steps=60),
        Program("rtqichen/torchdiffeq", "examples/ode_demo.py", f"--niters 15 {ode}"),
        Program("rtqichen/torchdiffeq", "examples/ode_demo.py", f"--niters 10 --adjoint {ode}",
                name="torchdiffeq examples/ode_demo.py --adjoint"),
        Program("rtqichen/torchdiffeq", "examples/latent_ode.py", "--niters 10", steps=5),
        Program("rtqichen/torchdiffeq", "examples/bouncing_ball.py"),
        Program("rtqichen/torchdiffeq", "examples/learn_physics.py", steps=5),
        Program("salesforce/awd-lstm-lm", "main.py", words, steps=30, data={"corpus": "corpus"}),  # --cuda: none
        Program("salesforce/awd-lstm-lm", "main.py", f"{words} --model GRU --wdrop 0", steps=30,
                data={"corpus": "corpus"}, name="awd-lstm-lm main.py --model GRU"),
    ]


def _pictures() -> list[Program]:
    small = {"cyclegan": "--img_height 32 --img_width 32 --n_residual_blocks 1",
             "unit": "--img_height 32 --img_width 32 --dim 16",
             "discogan": "--img_height 64 --img_width 64",
             "pix2pix": "--img_height 256 --img_width 256"}
    return [
        *(Program("eriklindernoren/PyTorch-GAN", f"implementations/{gan}/{gan}.py",
                  f"--dataset_name pairs --n_cpu 0 --batch_size 1 --sample_interval 2 {size}", steps=6,
                  data={"../../data/pairs": "picture pairs"}) for gan, size in small.items()),
        Program("davda54/sam", "example/train.py", "--batch_size 16 --depth 10 --width_factor 1 --epochs 1",
                steps=10, data={f"{root}/cifar-10-batches-py": "cifar10" for root in ("cifar", "data")}),
    ]


PROGRAMS = [*_examples(), *_language_models(), *_tutorials(), *_lessons(), *_gans_and_agents(), *_science_and_agents(),
            *_pictures()]
