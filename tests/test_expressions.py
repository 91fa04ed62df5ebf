"""Expressions that have the same value, type, or class of error here as in PyTorch."""
import warnings

import numpy as np
import pytest

import minitorch

ARITHMETIC = """
a.clone().add_(2,a); torch.add(a,a,2); a.clone().addcmul_(2.,a,a); a.clone().addcdiv_(2.,a,a); np.float64(2)*a;
a*np.float64(2); np.float32(2)*i; i*np.float64(2); z*np.float64(2); a==None; a!=None; a<None; a+None; a+'a';
a+[1,2]; a==[1,2]; b-b; b+b; -b; b-1; 1-b; ~a; ~b; ~i; a&a; i&1; i<<1; i//0; i%0; torch.fmod(i,0); torch.div(i,0);
torch.div(i,0,rounding_mode='floor'); torch.div(i,2,rounding_mode='x'); torch.div(i8,3,rounding_mode='trunc');
torch.div(i8,3,rounding_mode='floor'); torch.div(i8,-3,rounding_mode='trunc');
torch.div(x,0.7,rounding_mode='floor'); torch.div(x,0.7,rounding_mode='trunc');
torch.div(x,0.,rounding_mode='floor'); x//0; x%0; x%-0.7; torch.fmod(x,-0.7); i8%5; i8%-5; i8//5; i8//-5;
torch.fmod(i8,5); i8+100; i8*2; i**-1; i**2.5; 2**i; 2.0**i; torch.pow(2,i); i**torch.tensor(-1);
torch.pow(i8,torch.tensor(-1,dtype=torch.int8)); x**0.5; x**-1; x**-2; x**-0.5; x**3; x**0; x**1; x**2.2; x**x;
2**x; (-2)**x; 0**x; i8**2; b**2; b**b; h**2; bf**2; c**2; c**0.5; c**c; u+300; u-3; u*-1; u>300; u<300;
torch.add(i,i,alpha=2.5); torch.add(a,i[:2],alpha=2.5); torch.sub(a,i[:2],alpha=2.5); torch.rsub(a,i[:2],alpha=2);
torch.rsub(a,1,alpha=2); torch.sqrt(i); torch.exp(b); torch.sigmoid(i); torch.relu(i); torch.relu(b); F.gelu(i);
F.silu(i); torch.sign(b); torch.sign(x); torch.sgn(x); torch.sgn(c); torch.abs(b); torch.abs(c); torch.abs(i8);
torch.floor(i); torch.floor(b); torch.floor(x); torch.ceil(x); torch.trunc(x); torch.round(x);
torch.round(x*1.234,decimals=2); torch.round(x*1234,decimals=-2); torch.round(i); torch.square(b);
torch.square(x); torch.reciprocal(i); torch.rsqrt(i); torch.frac(x); torch.frac(i); torch.clamp(a);
torch.clamp(i,0.5); torch.clamp(i,torch.tensor(0.5),1); torch.clamp(i,min=torch.tensor(1),max=2.5);
torch.clamp(x,-1,1); torch.clamp(x,min=0); torch.clamp(x,max=0); torch.clamp(x,2,-2); torch.clip(x,0,1);
torch.clamp(i,1,2); torch.clamp(i8,-1000,1000); torch.clamp(x,torch.zeros(3),torch.ones(3));
torch.clamp(x,i,None); torch.clamp_min(x,0); torch.clamp_max(x,0); x.clone().clamp_(0,1); i.clone().clamp_(0.5,1);
torch.maximum(a,i[:2]); torch.maximum(x,-x); torch.minimum(x,-x); torch.fmax(x,-x); torch.fmin(x,torch.zeros(3));
torch.maximum(c,c); torch.where(b,1,0); torch.where(b,1.,0); torch.where(b,a,0); torch.where(b,i[:2],0.5);
torch.where(i[:2],a,0); torch.where(u,a,0); torch.where(b); torch.where(x>0,x,-1.); torch.where(x>0,x,d);
torch.where(x>0,x,i8); torch.where(x>0,2,z); x.where(x>0,0); torch.lerp(a,a,0.5); torch.lerp(a,a,i[:2]);
torch.lerp(a,a*3,a*.7); torch.lerp(a,a*3,.7); torch.lerp(a,a.double(),.7); torch.logical_and(a,i[:2]);
torch.logical_or(x,0*x); torch.logical_xor(x,x); torch.logical_not(x); torch.logical_not(i); torch.bitwise_not(a);
torch.bitwise_and(i,3); torch.bitwise_or(i8,1); torch.bitwise_xor(i8,u[:1]); torch.isclose(a,i[:2]);
torch.isclose(x,x+1e-9); torch.isclose(x,x,equal_nan=True); torch.isclose(i,i+1); torch.isclose(a,a,rtol=-1);
torch.equal(a,i); torch.equal(a,a); torch.equal(x,x); torch.allclose(a,i[:2]); torch.allclose(x,x,equal_nan=True);
torch.heaviside(a,i[:2]); torch.heaviside(x,torch.tensor([0.5,0.2,3])); torch.float_power(i,2);
torch.float_power(c,2); torch.float_power(2,i); torch.logaddexp(i,i); torch.logaddexp(d,d+1);
torch.logaddexp2(d,d+1); torch.hypot(i,i); torch.hypot(d,d); torch.atan2(i,i); torch.atan2(x,-x); torch.erf(i);
torch.isnan(i); torch.isnan(x); torch.isinf(x); torch.isfinite(x); torch.isfinite(b); torch.isposinf(x);
torch.isneginf(-x); torch.isreal(c); torch.nan_to_num(a,posinf=1); torch.nan_to_num(x);
torch.nan_to_num(-x,nan=3.,neginf=-7); torch.nan_to_num(i); a.masked_fill(a>0,i[0]); i.masked_fill(i>0,0.5);
i.masked_fill(i,0.5); i.masked_fill(i>0,i); x.masked_fill(torch.tensor([True,False,True]),-1);
torch.masked_fill(x,x>0,float('-inf')); x.clone().masked_fill_(x>0,9); i.clone().add_(0.5); i.clone().div_(2);
i.clone().mul_(a[0]); a.clone().add_(torch.ones(3,2)); torch.neg(u); torch.neg(c); torch.xlogy(i,i);
torch.xlogy(x,2); torch.xlogy(2,x); torch.xlogy(x*0,x*0); divmod(i,2); i//2.0; 2//d; 5%d; 2-i; 2/i; 2/x; +b; +a;
abs(d); torch.logit(a,eps=0.1); torch.logit(d); a^a; b^True; b|1; 1|b; b&i[:2]; i>>1; 1<<i; i8<<1;
torch.copysign(a,-1); torch.copysign(i,-1); torch.copysign(x,-x); torch.ldexp(a,i[:2]); torch.signbit(x);
torch.signbit(i8); torch.nextafter(a,a*2); torch.gcd(i8,u[:1]); torch.lcm(i,i); torch.gcd(a,a); torch.add(h,1);
h+a[:1]; h*d; bf+h[:1]; bf*2; bf*i[:2]; z+d; z*i; i+z; torch.tensor(2.)*i; torch.tensor(2)*h;
torch.tensor(2.,dtype=torch.float64)*a; torch.tensor(1j)*a; c+1; c*2.5; c/2; c-c; c==c; c<c; torch.exp(c);
torch.log(c); torch.sin(c); torch.tanh(c); torch.sigmoid(c); torch.sqrt(c); torch.expm1(d); torch.log1p(d);
torch.log2(i); torch.log10(i); torch.exp2(i); torch.sinc(d); torch.erfinv(d); torch.erfc(d); torch.lgamma(d);
torch.digamma(d); torch.polygamma(1,d); d.polygamma(2); torch.sinc(i); torch.asin(d); torch.arccos(d);
torch.atanh(d); torch.arctan2(d,d); torch.addcmul(a,a,a,value=2); torch.addcmul(i,i,i,value=2);
torch.addcmul(i,i,i,value=2.5); torch.addcdiv(a,a,a*3,value=2); torch.addcdiv(i,i,i); torch.addcmul(a,d[:2],a);
torch.true_divide(i,i); torch.multiply(i,2); torch.subtract(i,2,alpha=2); torch.negative(i); torch.absolute(i8);
torch.divide(i,2); torch.eq(i,1); torch.ne(i,x); i.greater(1); i.less_equal(1); torch.not_equal(i,1);
torch.lt(x,d); x.eq_(x); i.clone().gt_(1); torch.fix(x); x.arctan(); torch.add(a,a,out=torch.empty(2));
torch.exp(a,out=torch.empty(5)); torch.add(input=a,other=a); torch.mul(a,other=2); torch.pow(input=a,exponent=2);
torch.clamp(input=x,min=0,max=1); torch.where(condition=b,input=a,other=a); torch.add(a); torch.add();
torch.add(a,a,foo=1); torch.exp(a,1); torch.add(a,torch.ones(3)); torch.mul(x,torch.ones(4));
torch.lerp(x,x[:,:2],0.5); x.float_power(2); np.sin(a); x.tanh_(); x.exp_().log_(); x.clone().neg_();
x.clone().pow_(2); i.clone().pow_(2); x.clone().sub_(1,alpha=2); x.sigmoid_(); x.clone().floor_();
x.clone().round_(); x.clone().fmod_(2); x.clone().remainder_(2); x.clone().floor_divide_(2);
x.clone().logical_not_(); i.clone().bitwise_and_(1); x.lerp_(x,0.5);
"""

CREATION = """
torch.tensor(np.float64(1)); torch.tensor(np.float32(1)); torch.tensor([np.float64(1)]);
torch.tensor([np.float32(1)]); torch.tensor([np.int32(1)]); torch.tensor([np.float64(1),1]);
torch.tensor([1,np.float32(1.5)]); torch.tensor([1,2.5]); torch.tensor([True,2]); torch.tensor([1,1j]);
torch.tensor([[1,2],[3]]); torch.tensor([[1,2],3]); torch.tensor([1,[2]]); torch.tensor("a"); torch.tensor(["a"]);
torch.tensor(None); torch.tensor([None]); torch.tensor([a,a]); torch.tensor([z,z]); torch.tensor([z,i[0]]);
torch.tensor([[z,1],[2,3]]); torch.tensor([torch.ones(1),torch.ones(1)]); torch.tensor((n,n),dtype=torch.int32);
torch.tensor(a); torch.tensor([]); torch.tensor([[],[]]); torch.tensor(range(3)); torch.tensor({1,2});
torch.tensor({}); torch.tensor(2**70); torch.tensor([300],dtype=torch.uint8);
torch.tensor([-1],dtype=torch.uint8); torch.tensor([1.5],dtype=torch.int64);
torch.tensor([1j],dtype=torch.float32); torch.tensor(np.array(['a'])); torch.tensor(np.array([1],dtype=object));
torch.tensor(np.ones(2,dtype='>f4')); torch.from_numpy(np.ones(2,dtype='>f4'));
torch.from_numpy(np.ones(3)[::-1]); torch.from_numpy([1]); torch.from_numpy(np.float64(1));
torch.tensor([1],dtype=float); torch.tensor([1],requires_grad=True);
torch.tensor(data=[1],device='cpu',pin_memory=False); torch.as_tensor([1]); torch.as_tensor(n);
torch.as_tensor(n,dtype=torch.float32); torch.as_tensor(3); torch.asarray(n,copy=True);
torch.asarray([1,2],dtype=torch.float32); torch.asarray(1.5); torch.zeros(2,3); torch.zeros([2,3]);
torch.zeros((2,3)); torch.zeros(()); torch.zeros(0); torch.zeros(-1); torch.zeros(2.); torch.zeros(size=(2,));
torch.zeros(torch.Size([2]),dtype=torch.int); torch.zeros(i[2]); torch.zeros(np.int64(2)); torch.zeros(2,i[2]);
torch.zeros((i[1],2)); torch.zeros(2,names=5); torch.ones(2,dtype=torch.bool);
torch.ones(2,3,dtype=torch.long,device='cpu',requires_grad=False,layout=torch.strided,pin_memory=False);
torch.full((2,),1); torch.full((2,),True); torch.full((2,),1.5); torch.full((2,),1j); torch.full(2,1);
torch.full((2,),z); torch.full((2,),torch.tensor(3)); torch.full((2,),1.5,dtype=torch.int64);
torch.full((2,),fill_value=float('nan')); torch.full(size=(2,),fill_value=2);
torch.full([2],3.,dtype=torch.bfloat16); torch.full((2,),1,out=torch.empty(2)); torch.full_like(a,2);
torch.full_like(i,2.7); torch.zeros_like(rg); torch.zeros_like(rg,requires_grad=True); torch.zeros_like(n);
torch.ones_like(i,dtype=torch.float16); torch.ones_like(bf); torch.empty_like(i).shape;
torch.empty_like(x,memory_format=torch.preserve_format).shape; torch.rand_like(i); torch.arange(5);
torch.arange(5.); torch.arange(1,5,2); torch.arange(0,1,0.3); torch.arange(1,0); torch.arange(1,0,-0.25);
torch.arange(0,1,0); torch.arange(end=3); torch.arange(start=1,end=3); torch.arange(0,3,dtype=torch.float16);
torch.arange(i[2]); torch.arange(z); torch.arange(1,np.float32(3)); torch.arange(True);
torch.arange(float('nan')); torch.arange(0,float('inf')); torch.arange(0.,5,dtype=torch.int64);
torch.arange(0.5,5,dtype=torch.int64); torch.arange(0.5,5,1.5,dtype=torch.int64); torch.arange(0);
torch.arange(1,10,step=3,dtype=torch.float64); torch.arange(-5,5,3); torch.arange(10,-1,-3);
torch.arange(0,1,0.1); torch.arange(3,out=torch.empty(0,dtype=torch.int64)); torch.linspace(0,1,5);
torch.linspace(0,1); torch.linspace(0,1,1); torch.linspace(0,1,0); torch.linspace(0,1,-1);
torch.linspace(0,10,4,dtype=torch.int64); torch.linspace(10,0,4,dtype=torch.int64);
torch.linspace(-10,10,7,dtype=torch.int64); torch.linspace(z,2,3); torch.linspace(0,1j,3); torch.linspace(0,1,7);
torch.linspace(0,1,steps=100); torch.linspace(-3,7,101,dtype=torch.float64);
torch.linspace(start=0,end=1,steps=2); torch.linspace(1,2,3,dtype=torch.float16); torch.logspace(0,1,3);
torch.logspace(0,1,3,base=2); torch.logspace(0,3,4,2,dtype=torch.int64); torch.logspace(-2,2,9); torch.eye(2);
torch.eye(2,3,dtype=torch.int); torch.eye(0); torch.eye(-1); torch.eye(n=3,m=2); torch.tril_indices(3,3);
torch.triu_indices(2,3,1); torch.tril_indices(2,3,offset=-1,dtype=torch.int32); torch.tril_indices(-1,3);
torch.meshgrid(i,a); torch.meshgrid([i,i[:2]],indexing='xy'); torch.meshgrid(i,i[:2],indexing='ij');
torch.meshgrid(i,i[:2]); torch.meshgrid(a,z,a,indexing='xy');
torch.meshgrid(i,torch.ones(2,2,dtype=torch.long),indexing='ij'); torch.meshgrid(i,i,indexing='z');
torch.meshgrid(); torch.complex(a,a); torch.complex(a,a.double()); torch.complex(i,i); torch.complex(x,a[0]);
torch.polar(a,a); torch.frombuffer(bytearray(b'abcd'),dtype=torch.int16,count=1,offset=2);
torch.frombuffer(bytearray(b'abcd'),dtype=torch.int32,offset=2);
torch.frombuffer(bytearray(b''),dtype=torch.int32);
torch.frombuffer(bytearray(b'abcd'),dtype=torch.int32,offset=9);
torch.frombuffer(bytearray(b'abcd'),dtype=torch.int16,count=9);
torch.frombuffer(bytearray(b'abcd'),dtype=torch.int16); torch.scalar_tensor(2);
torch.scalar_tensor(2.5,dtype=torch.int); torch.from_dlpack(n); torch.from_dlpack(a); torch.hann_window(5);
torch.hann_window(5,periodic=False); torch.hann_window(0); torch.hann_window(1);
torch.hann_window(5,True,dtype=torch.float64); torch.hamming_window(5); torch.hamming_window(6,False,0.5,0.5);
torch.blackman_window(4); torch.bartlett_window(4); torch.bartlett_window(5,False); torch.kaiser_window(4);
torch.hann_window(-1); torch.FloatTensor(2,3).shape; torch.FloatTensor([1,2]); torch.FloatTensor(n);
torch.FloatTensor(a); torch.FloatTensor(i); torch.FloatTensor(); torch.LongTensor([1.5]);
torch.LongTensor([[1,2]]); torch.LongTensor(range(3)); torch.LongTensor(i); torch.LongTensor((1,2));
torch.FloatTensor(torch.Size([2])).shape;
torch.Tensor([1,2]); torch.Tensor(n); torch.Tensor(2).shape; torch.Tensor(2,3).shape;
torch.Tensor(torch.Size([2])).shape; torch.Tensor([[1],[2]]); torch.Tensor(i); torch.Tensor(); torch.Tensor([]);
torch.Tensor(3,device='cpu').shape; torch.ByteTensor([1]); isinstance(a,torch.FloatTensor);
isinstance(i,torch.FloatTensor); isinstance(i,torch.LongTensor); isinstance(3,torch.LongTensor);
torch.FloatTensor; torch.FloatTensor.dtype; a.new(2,3).shape; a.new([1,2]); a.new(i); i.new([1]);
i.new_tensor([1.5]); i.new_tensor([1.5],dtype=torch.float); a.new_tensor([1,2]); a.new_zeros(2,3);
a.new_zeros((2,3),dtype=torch.int); a.new_zeros(size=(2,3)); a.new_full((2,),1); i.new_ones((2,));
a.new_empty(2,dtype=torch.int).dtype; torch.empty(2,memory_format=torch.contiguous_format).shape;
torch.empty_strided((2,3),(1,2)).stride(); torch.range(1,3); torch.range(0,1,0.5);
torch.empty(2,3,out=torch.empty(0)).shape; torch.arange(3,out=torch.empty(0));
"""

CONVERSION = """
rg.numpy(); rg.numpy(force=True); bf.numpy(); (rg*2).numpy(); np.asarray(rg); np.asarray(bf); rg.item();
rg[0].item(); torch.ones(1,1).item(); torch.ones(0).item(); bf[0].item(); c[0].item(); b[0].item(); i[1].item();
bf.tolist(); z.tolist(); x.tolist(); b.tolist(); c.tolist(); a.to(torch.float32) is a;
a.to(torch.float32,copy=True) is a; a.to('cpu') is a; a.to('cpu',torch.float64); a.to(i);
a.to(device='cpu',dtype=torch.int); a.to(dtype=torch.int); a.to(torch.float64,non_blocking=True);
a.to(torch.device('cpu'),torch.int32,True,True); a.to(); a.to('float64'); a.to(float);
a.to(torch.float64,memory_format=torch.preserve_format); rg.int(); a.type(); i.type(); b.type(); bf.type();
c.type(); a.type(torch.int); a.type('torch.IntTensor'); a.type(torch.LongTensor); a.type('IntTensor');
a.type(dtype=torch.float64); a.type_as(i); c.real; a.real; a.imag; c.imag; a.real is a; a.conj(); c.angle();
x.angle(); torch.view_as_real(c); torch.view_as_real(a); torch.view_as_complex(torch.ones(3,2));
torch.view_as_complex(torch.ones(3,3)); torch.view_as_complex(i); torch.real(a); torch.real(c); torch.imag(a);
torch.is_complex(c); torch.is_floating_point(a); torch.is_tensor(a); torch.is_tensor(n); torch.is_nonzero(z);
torch.is_nonzero(a); a.is_floating_point(); a.is_complex(); a.is_signed(); u.is_signed(); a.is_contiguous();
x.t().is_contiguous(); a.element_size(); a.nbytes; a.itemsize; a.stride(); torch.ones(2,3).stride(0);
torch.ones(2,3).stride(-1); torch.ones(2,3).t().stride(); torch.ones(2,3).stride(2); torch.ones(2,0,3).stride();
torch.ones(1,3).expand(4,3).stride(); torch.ones(4,4)[1:,2:].storage_offset(); torch.ones(4,4)[1:,2:].stride();
torch.ones(4,1).stride(); torch.ones(1,4).t().stride(); a.layout; a.is_cuda; a.is_sparse; a.is_quantized;
a.is_xpu; a.is_xla; a.is_vulkan; a.is_meta; a.is_cpu; a.get_device(); a.is_pinned();
a.numel(); a.nelement(); torch.numel(a); a.size(); a.size(0);
a.size(-1); a.size(dim=0); a.size(2); z.size(0); a.dim(); a.ndimension(); a.copy_(torch.ones(3));
a.clone().copy_(torch.tensor(2)); a.clone().copy_(i[:1]); a.clone().copy_(2);
i.clone().copy_(torch.tensor([1.5,2.5,3.5])); rg.copy_(a); rg.clone().copy_(a); a.clone().fill_(i);
a.clone().fill_(i[2]); i.clone().fill_(1.5); i.clone().fill_(1j); u.clone().fill_(300); bf.clone().fill_(2);
rg.zero_(); rg.fill_(1); rg.clone().zero_(); torch.fill(a,3); a.clone(memory_format=torch.contiguous_format);
torch.clone(a); rg.clone(); a.contiguous() is a; rg.contiguous() is rg;
torch.ones(2,3,requires_grad=True).t().contiguous(); float(rg[0]); float(z); int(torch.tensor([2.7]));
complex(c[0]); float(c[0]); int(torch.tensor(float('inf'))); float(a); int(i); __import__('operator').index(i[1]);
__import__('operator').index(torch.tensor([2])); __import__('operator').index(b[0]);
__import__('operator').index(z); [1,2,3][i[1]]; [5]*i[2]; range(i[2]); bool(a); bool(z); bool(torch.ones(0));
a.__array__(dtype=np.float64); np.array(a,dtype=np.int32); np.asarray(a); np.sin(a); np.multiply(a,2);
a.cpu() is a; a.half().dtype; a.bool(); a.char().dtype; a.byte().dtype; a.short(); a.int(); a.long(); a.double();
a.bfloat16(); a.cfloat(); a.float() is a; x.long(); x.to(torch.bool); d.to(torch.uint8); h.to(torch.float32);
a.is_same_size(i); a.is_set_to(a); a.new().shape; a.ndim; a.is_inference(); a.is_conj(); a.is_neg();
a.resolve_conj(); a.output_nr; torch.result_type(a,1); torch.can_cast(torch.float,torch.int);
torch.promote_types(torch.int8,torch.uint8); rg.clone().detach().requires_grad; a.grad_fn; rg.clone().fill_(2);
rg.clone().copy_(rg*2); rg.real; torch.finfo(torch.float32); torch.finfo(torch.float16);
torch.finfo(torch.bfloat16); torch.finfo(torch.float64); torch.finfo(); torch.finfo(torch.int);
torch.iinfo(torch.int8); torch.iinfo(torch.int64); torch.iinfo(torch.uint8); torch.iinfo(torch.float);
torch.finfo(torch.float32).eps; torch.iinfo(torch.int32).max; torch.finfo(torch.float32).min;
torch.finfo(torch.float32).dtype; repr(a); repr(rg); repr(rg*2); repr(c); repr(torch.zeros(2,0)); repr(bf);
f"{z:.3f}"; f"{a}"; f"{i[1]:03d}"; "%d"%i[2]; "%.2f"%z; str(z); torch.ones(2).tolist()==[1,1];
torch.empty(3).normal_().shape; torch.set_printoptions(precision=4); torch.get_default_dtype();
i.type(torch.float32); torch.zeros(3,dtype=None); torch.zeros(2,3,4)[0].shape;
torch.tensor([[1,2],[3,4]]).tolist(); torch.tensor(np.arange(6).reshape(2,3)[:, ::2]);
torch.tensor(np.bool_(True)); torch.tensor([np.bool_(True)]); torch.tensor(np.array(5));
torch.tensor([n[0], n[1]]); torch.tensor([[n[0]], [2]]); torch.tensor(((1,2),(3,4))); torch.tensor([[[1]],[[2]]]);
torch.tensor(1e40); torch.tensor([1e400]); torch.tensor(-2**63); torch.tensor([1,2],dtype=torch.complex64);
torch.tensor(b'ab'); torch.tensor(float('nan')); torch.tensor(True); torch.tensor(1).dtype;
torch.tensor(1j).dtype; torch.hann_window(7,False); torch.kaiser_window(5,True,3.);
torch.kaiser_window(5,False,3.); torch.kaiser_window(1); torch.blackman_window(5,False); np.from_dlpack(a);
torch.hann_window(3,dtype=torch.int);
"""

RANDOM = """
torch.rand(2,3); torch.rand(()); torch.randn(20); torch.randn(5,dtype=torch.float64);
torch.randn(4,dtype=torch.complex64); torch.randint(5,(3,)); torch.randint(1,9,(30,));
torch.randint(high=5,size=(2,)); torch.randint(5); torch.randint(5,2); torch.randint(5,5,(2,));
torch.randint(0,5,size=(2,),dtype=torch.float32); torch.randperm(9); torch.randperm(5,dtype=torch.int32);
torch.randperm(-1); torch.randint_like(a,5); torch.randint_like(a,1,5); torch.rand_like(a); torch.rand_like(i);
torch.randn_like(a,dtype=torch.float64); torch.normal(0.,1.,(2,)); torch.normal(1,2,size=(30,));
torch.normal(d,2.); torch.normal(2.,d.abs()); torch.normal(d,d.abs()); torch.normal(d,-d.abs()); torch.normal(d);
torch.normal(a,torch.ones(3)); torch.bernoulli(a*0.5); torch.bernoulli(a*5); torch.bernoulli(i);
torch.bernoulli(d,0.3); torch.multinomial(a,2); torch.multinomial(a,20,True); torch.multinomial(a,20);
torch.poisson(d.abs()); torch.poisson(d.abs()*30); torch.poisson(-a); torch.poisson(i);
torch.rand(2,dtype=torch.int64); torch.rand(3,generator=torch.Generator().manual_seed(3));
torch.rand(2,generator=5); torch.manual_seed('a'); torch.manual_seed(2**70); torch.initial_seed();
torch.get_rng_state(); torch.Generator().initial_seed(); torch.Generator('cpu').device;
torch.Generator().manual_seed(7).get_state(); torch.dropout(a,0.5,True); torch.feature_dropout(a,0.5,True);
d.clone().normal_(); d.clone().normal_(1,2); d.clone().normal_(mean=1,std=0.); d.clone().uniform_(1,2);
d.clone().uniform_(2,1); d.clone().uniform_(-1,to=1); d.clone().random_(); d.clone().random_(5);
d.clone().random_(1,5); d.clone().random_(to=5); d.clone().exponential_(); d.clone().exponential_(2);
d.clone().exponential_(-1); d.clone().geometric_(0.5); d.clone().geometric_(1.5); d.clone().geometric_();
d.clone().cauchy_(); d.clone().cauchy_(1,2); d.clone().log_normal_(); d.clone().bernoulli_();
d.clone().bernoulli_(0.3); d.clone().bernoulli_(d.abs()/3); d.clone().bernoulli(0.3);
d.clone().long().random_(5,1); d.clone().long().random_(); d.clone().long().normal_();
"""

ACTIVATION = """
F.dropout(d); F.dropout(d,1.5); F.dropout(d,1.); F.dropout(d,0.5,training=False) is (d);
F.alpha_dropout(d,0.3,True); F.feature_alpha_dropout(x,0.3,True); F.dropout2d(torch.ones(2,3,2,2));
F.dropout1d(torch.ones(2,3)); F.rrelu(-d,training=True); F.rrelu(-d); torch.rrelu(-a,0.5,0.1);
torch.prelu(a,torch.ones(3)); F.glu(torch.ones(3)); F.glu(z); F.softshrink(a,-1); torch.celu(a,0.);
F.hardtanh(a,2,1); F.hardtanh(i); F.relu6(i); F.leaky_relu(i); F.softplus(i); F.softsign(i); F.tanhshrink(i);
F.logsigmoid(i); F.hardsigmoid(i); F.threshold(i,1,5); F.threshold(i,1,5.5); F.selu(i); F.mish(i);
F.gelu(a,approximate='x'); F.gelu(d); F.gelu(h); F.gelu(bf); F.silu(x); F.mish(x); F.relu(x); F.relu6(x);
F.elu(x); F.softplus(x); F.logsigmoid(x); F.hardswish(x); F.hardsigmoid(x); F.tanhshrink(x); F.softsign(x);
F.hardshrink(x); F.softshrink(x); F.threshold(x,0.1,5); F.leaky_relu(x,0.2); F.celu(x,0.5); F.selu(x); F.silu(c);
F.relu(bf); F.relu(h); torch.relu_(d.clone()); F.relu(d.clone(),inplace=True); F.elu(d.clone(),0.5,True);
torch.prelu(a,torch.ones(1,dtype=torch.float64));
"""


def names(m):
    """What the expressions are made of, by the module `m`: torch or minitorch."""
    return {"torch": m, "np": np, "F": m.nn.functional, "n": np.ones(2), "a": m.ones(2), "i": m.arange(3),
            "z": m.tensor(1.0), "b": m.tensor([True, False]), "u": m.tensor([1, 2], dtype=m.uint8),
            "i8": m.tensor([-7, 7, 100], dtype=m.int8), "rg": m.ones(2, requires_grad=True),
            "bf": m.ones(2, dtype=m.bfloat16), "h": m.tensor([1.5, -2, 0.25], dtype=m.float16),
            "d": m.tensor([0.5, -1.25, 3.0], dtype=m.float64), "c": m.tensor([1 + 2j, -0.5j]),
            "x": m.tensor([[-1.5, 0.0, 2.5], [0.3, float("nan"), float("inf")]])}


def evaluate(expression, m):
    """The value, or the exception that it raised."""
    m.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(eval(expression, names(m)))
        except Exception as error:
            return error


def plain(value):
    """Tensors as (type, shape, array), so that results of both modules can be compared."""
    if type(value).__name__ == "Tensor":
        value = value.detach()
        readable = value.float() if "bfloat" in str(value.dtype) else value
        return str(value.dtype), tuple(value.shape), readable.numpy().copy()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value if isinstance(value, (int, float, str, complex, type(None), np.ndarray)) else str(value)


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for o, t in zip(ours, theirs):
            assert_same(o, t)
    elif isinstance(theirs, tuple):
        assert ours[:2] == theirs[:2]
        rough = {"torch.float16": 2e-3, "torch.bfloat16": 2e-2}.get(theirs[0], 1e-5)
        np.testing.assert_allclose(ours[2], theirs[2], rtol=rough, atol=1e-6)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs or (ours != ours and theirs != theirs)


@pytest.mark.parametrize("expression", [line for block in (ARITHMETIC, CREATION, CONVERSION, RANDOM, ACTIVATION)
                                        for line in block.replace("\n", " ").split("; ") if line.strip(" ;")])
def test_same_as_pytorch(torch, expression):
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    ours, theirs = evaluate(expression, minitorch), evaluate(expression, torch)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"PyTorch raises {theirs!r}, minitorch gives {ours!r}"
    elif isinstance(ours, Exception):
        raise ours
    else:
        assert_same(ours, theirs)
