# Seed text 004, section 4.1, as it stands there. The text leaves x and y undefined; supplied here: 64 random vectors
# and targets between 0 and 1.
import torch

torch.manual_seed(0)
x = torch.randn(64, 1000)
y = torch.rand(64, 1)

# The listing:
import torch
import torch.nn as nn
import torch.optim as optim

# 定义神经网络
class MyModel(nn.Module):
    def __init__(self):
        super(MyModel, self).__init__()
        self.layer1 = nn.Linear(1000, 500)
        self.layer2 = nn.Linear(500, 250)
        self.layer3 = nn.Linear(250, 100)
        self.layer4 = nn.Linear(100, 1)

    def forward(self, x):
        x = torch.relu(self.layer1(x))
        x = torch.relu(self.layer2(x))
        x = torch.relu(self.layer3(x))
        x = torch.sigmoid(self.layer4(x))
        return x

# 创建模型实例
model = MyModel()

# 定义损失函数
criterion = nn.MSELoss()

# 定义优化器
optimizer = optim.Adam(model.parameters(), lr=0.001)

# 训练模型
for epoch in range(1000):
    optimizer.zero_grad()
    output = model(x)
    loss = criterion(output, y)
    loss.backward()
    optimizer.step()
