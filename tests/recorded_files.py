"""Files to load: recorded ones that PyTorch 2.13 and the former `save` wrote, and ones built piece by piece."""
import base64
import io
import struct
import zipfile
import zlib

import minitorch as mt
from minitorch.serialization import archive


def unpacked(recorded):
    """The bytes of a recorded file."""
    return zlib.decompress(base64.b85decode("".join(recorded.split())))


def saved(obj, **keywords):
    """What `save` writes."""
    file = io.BytesIO()
    mt.save(obj, file, **keywords)
    return file.getvalue()


def rewritten(content, change):
    """A zip file with other contents of its records; None leaves one out."""
    file, out = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    records = [(name, change(name.partition("/")[2], file.read(name))) for name in file.namelist()]
    archive.write(out.write, [record for record in records if record[1] is not None])
    return out.getvalue()


def edited(content, change):
    """A zip file with another pickle."""
    return rewritten(content, lambda name, part: change(part) if name == "data.pkl" else part)


def of_pickle(content, storage=b"\0" * 16):
    """A zip file with that pickle and one storage."""
    out = io.BytesIO()
    archive.write(out.write, [("a/data.pkl", content), ("a/byteorder", b"little"), ("a/data/0", storage),
                              ("a/version", b"3\n")])
    return out.getvalue()


def text(t):
    return b"X" + struct.pack("<I", len(t)) + t.encode()


def number(n):
    return b"\x8a\x0a" + n.to_bytes(10, "little", signed=True)


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def tensor_pickle(offset=0, size=(4,), stride=(1,), count=4, kind="FloatStorage", key="0", location="cpu"):
    """A tensor on a storage of 16 bytes, as a pickle."""
    pid = tuple_of(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text(location), number(count)) + b"Q"
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
        pid, number(offset), tuple_of(*map(number, size)), tuple_of(*map(number, stride)), b"\x89",
        b"ccollections\nOrderedDict\n)R") + b"R.")


# torch.save(value()), where test_serialization.py says what value() is; zlib, base 85
ZIP = r"""
c-qZad3+po6`$Qr(sbJ9=uMGY!DFLkyH|EMy%M%{i(L%qwAH0p*V*0KooOe#`(}QdG|^}fH%;)Oh$tWkDuRml0VuYGqV>QdRk13H6}938-Y7!+9k
ZL6*@m>)f1FS9+hpeV{l4#ezc=r_q%ZDj;JD^yuI6gv7IUJOmX!f%T}DKrr?_8@MO(N%mTS~G0-QVHz<>kbNTUKqc#<Wgs5+n2q*O^!Gf5=n^@5f
h@blnwyA$*9W*zSoa}u~1gpa8O5$$9*d1#=7UT93X@MpSMf~I&Af_XdQT-+IVjX`tV6?crm{E2kBpsG?DDTTbwU#?{&P0DOl(ufDXLx2Sc77DP4v
S@`tXpymf*(Eo~jWT6y-GPZ*WoU~#%FsR`6VPG=O9WU-B_LR4hb$)|Tyf_ZtcW{^mX!>49)eW@oS(qq<OY?D1TUx{DU%N_z<39O)yxTue<A*X8-q
0r{~`nz3UE=Pi9{zYs-gxjW(-D%wiZe$RjS75C6v|=FJ-hZ!?Yb8jLMAwuP;wD;tf)N5e>mBELsAv7K5;J7ZWWUal*p_x{eWe5%>h~)6IhrnBiE9
q9*oBNYZ!+TKI#|iTRxfLe$qXgh_ZKjJpfLdI2_!(_c0ogiQi$ra{YTVg|Y`M4iyXyt{-DVU8$SwlM5g1g{hzMgxY#Tu#cswu(}gann+>TA@FQhK
dqR!b{z<(+KJ=wh>-s3iM@#e6AYi?Nmqz;!Mb8hLBg2rI&ehIfA|s*g>-l3jsl1rX$!Xz%HsSRmx^14R*`KtV|8bj5Q3eVXUt;SQBKqg0b#FaODW
R&Yj@#&Z4C0ijKWPuy>r^Nh*5MV1E602|-eTH_$N3qM8NKk~x>+TUCcr)N};W%yh;uEs-V5Oy>~D0w@V5QJ;l<7P2UPRehl<;eJZk1u8r9e&fvZg
s{K}iwHmfjp|Dk3M%MUN_?wIhp1Vf7fOt8z~CDsd<Pic5Q1R=-bf9n;Y}8@ErtG~Djl#Elo3YigEup;-(q+@N|vh_>01$8Ex_C8P9*|mE2}JORkk
t4=7)ofZQNj+Aj>t3?d=HOA;3FnQj~llc-JhoF~GySr|o%+`pECjldR2DO<&7Q2jCEk&UJ?A_mJg!X8OH`=8}@f=fuMe2;L{a`)TxbWmtk6jSV~T
FFf4DO6tvJ_<#Vn(4vtcM&VXt8>R^bdH5jB=8QC;q$Rk`c*cI^;daWNE@edc5Gf=d7T_aPs-A&6sH%^;DSl8=ax#KDtM57WCkS^je?CV2A=UBYSQ
aMw1oP=`1fLY(Q!IlNQHM`k2|D33>?}TO1mtsM`8)%E0l^mq_)=*E?n%ri?+&h7BI#*xFMWPrf;2q%@(6r|Hm3pdwiWVlf83$#dWu@e7vZbve5t=
U<VmIrn&jy(sYnquO&lVJna2GGX(iHl4zq21KEs~EkvLa|qiGDwNNJsy^5h2|9-!%)f(L0_R1qn89~>KlhXnZALHN1=$K9mCl;Il&Aw3lyzFEo8Z
%vFJgl`M*usiOeTpQs#y}iBLr|?A=QsTdxnvfqztTZ)thw<q&KH+;Zw)%YmCJ~%S(S*$g{P2UByk*UahabvJNj3;SB1#?+;Kx{rT&v+^3QK69#@6
(}Pl&mn3h=WrcvOI&Q-dib2fvUH%QRGv$=Ls23UG?}kKg=X8HSV~JWdS#T7chFT;2@7tuc3+y4*bNtrLDnY(62t?-Bfgxu{DB{+LcC$y<mcpG@-j
4iA6Y3xB3&r7}Dzz*96I(yXMwUo88LyFC1LTlZ7U*tQ-crep9o0sc<krPL6Tbod8WM9gx>j=(>On12cIG)pWU{+$-J9PXyN#P{NksuxA_O8uwfDt
KlD{!4eM8a%tL`@S2=b(4{jnG8H<nSU};R>bF&q4Up_MXZXu2d|N6lr;xl1<i?98bVQX;g7vq1770}Q8!#J<#A`%8u3kwjV<f}uQlN(BicLy!qbp
m)|x5pd_qfWhy*3P&yJ_Jd2Io{-+{}HwveJ0;gyA*VvDM%<h2$mtCc+J9pC;8KHY2PSCY7ATMtVpj)vmc{aPE9kMl)q$3Kl}i}5N^2ls1B=(90xD
G^6FPzfL1n*Gv{whZ4YdHUk>nom7_*9FIMYbD=(Gmgb8xL|cG_GAlMzlf4Xy@*A<w&{5G%SSBV^W>vfJB(bN+43qbJZ;(N4@pr~a`}Ed7sR50b2g
5zP>=}d9)u^HMoE}iKs(o66+p7OK*sG@bi-WiRxVXRNR^0&@}|enBZaW(c{Q|fn=OBptn<dA>+2A}SVy}_O5rd3J&M0?>miC(TzmQuDV!^3QMA^o
$QO&cxwE%FN^Ko)I$tFT-7t%-9;+>XEV{9t@EiU&Pz}#sdEFo}+FaGZol(O^tA;=<8kw_(=ks-`)lM)LZR2Y7A0=mZl;~f-_OXYp`kT*2e`h`VN$
wEa`}W;__Z-eIRPXuCGnk2n;v=UEbMQZ0kN@*c_M;E=56{7Vq^|gHCYE=#-a9&b{c7Q&R?A(n=;pejzh}?U?jHK?TzJdP&&_`Rt)>dfYK6DX`stv
NKYY=HiP`;c<u0*V$E9jheF3P{PNHJqj&9HF=ikb0u&KaBEId~gQ^YW4otnLWw%U*17pVXIrwjp8Q*()b@c$zIopr>Y^h{!VV)E3T=a&D~p{cI?5
AekL<gK~gv&Vlm=bs*+sO!3<DR_b!7RhXyR5G!s=N!d&!y#{Hz#I05!jZ0szpE<{@p*lbP#_oy`Muswe>mU`dP8BN@`z`_up8@eQ<V<-_g6)ydH8
IrQEvY~tQ~D0AXiw&)dk#4<Eov+JOr+?kQ_3T)J&ds9`hjAZsA$HkgFXa?Qrwd)nb9)u#mIOes-*Rin3zei)>h*9c!L`tk~=ASbqh3=K08ct!%Mj
19rRSsl|#NwPS;Jta<9NVo%z!op!8wTCiewwc4;DJJ#IkZFcS0upMje)mChx&4!KGvF0vo#h$QZyX;tVk8HL2+iuT|n#3}fRx9{K4Y($=%<ahvPA
s;A{k7of)?x)u)_?<NFI!k*2iGK*xujdcCu_hp*=4TCwrDTq>^;B^HW$j()@Yl+XD;D=@usG=m4ffOxQbkE`@Eu&eI8g=8DN{}EIqku`u|3K@x~^
GSx)z}z5fH$cgOb
"""

# torch.save(value(), _use_new_zipfile_serialization=False), without uint16
OLDER = r"""
c-nndXMh_=6;``D-?}8UkWd|}j&ewf?kqvDMeO*3<y_)%08tLH+8y0)yeH|~9r=6#!3B_fHiU#uLV(aiuYm*tF__+a?>*Ge2?;oFX7*%D-iv;WX5
Y?!-}m0Ud2f~zhYj!ct9RbI`QmFYJY#Y>asJIo8as%kE2qX{v6kNyO{?iu_j5mRn+?QiL1iPo@mwK1UgZtjH5*8*R17kTr53LS?j<}xvV&B*GD60
{Y5D>q<wPY(Pi{kCw4AD>Bu29_kFj#9-CpI4ll1`NmT3BxGg)m5*9(lQ&ueYhv#WwPf~H^HpEHn1rz>L;oK~9i97+9&vD0gsVy`wDNL4n`nqqz`T
bRyH6^heaGI@+B9agJNI!0#&#`ctB<wQBz!@6>^9PeTLkVP(g+!Ew*U|ita+~@WV*AfPd35N9o8yGe!7{9rQO%ADXl1?PsDUN12bq|3jySPg^-o;
%HITGk@0(WP)hw@tBv^#^jX9#n;6q_t3dN`vTmzwXTq3$hkABOv?ur9hb$Nf%5o5~gQg+g{ZgZmR&oX|FF*9q-Rn#6i|fJS?uz=IebTp5)SwoK3T
@eqv{hIvP`UGsQ9&JP_VDQ1e<9MU1l1d&WkXyAtlJe=VXDlhm#ODy4$(K?IS>3ji`1Q8>MM@gMA>25}EQC7p{1kPf}s{k%yYK^pMnZCKe1@{e1uf
Zn6f-S_BAhv>vN*6`BRgcz8j}bVV;jt^~Ve3I`V<@R$&-<p0$F1c=v5?0(VH~zgSVG((hjTU3PJtPQ^HiXPIX};BJbu*+o$bfnsQb-@sybov0PIR
TiEuM6(hE^OVS{$l(duu{?g3fZ;+E`G4(ErmW<yyQ$l*fm?H&Qv!CsZ&BnuZgrv(B}V0fZZT5H$q+{cp~DZ){-&h8=CbJ<)0m5}4fA;(kX@Knw5G
=aGeo}N~Pqb18rKpqQJbt$R3K{e!g#!6ejWT>ftJEm8MHIR+xk*V*jJuIY<$$*DK>Y<Q%IXGH~D{wKxzDh!RR);qLeU2(9+37y~!ocY)W;3}=0gW
(onqlU&Bs?@c)xLm1DDAao(?ffZfJ}Yx{lnmeLI#T=_<<07NrGRZ!JjGcEQXFc02ZD-fV{oA(DL|!!HW2tA%^S}rNVL;olC>$JXa3S(+tlS=rZ(F
bld_C4pKO#--liqg3je~d5VFCJ{&^7Kn^d|(3c6kh~aV-8QC;&MF_i>9t^x#7v-09@luADsghyK^vBD?Wz<Th^9Ej_a?<AeU5n$D;XD0k;8hCUYT
G8Rl!fCehF2?J0vlH=6|YIF?-#i{?+Cm$@+8xd$>%e8UAPn1C}(8Zd_8F-)Hi5{-YD=UhBxc2cFh29S*r+VsNB3Y49&G+Xx=7=w`-(#2)vWwUF{C
uT^X0Bf$EoOo5I9<)cf~V$QZ->I(WZogRAZN1Lb%S1U2PhqlFJzjrKxoX|ifHeLlI+_JnKtzPTieibcIm_-)zLuG7nmhOOV?L*-Z(AGYW-n_Gdw8
**acdX;B2+@K=nnZj*k@sS=r%5dXBe2n4aY1x#zxG4lw`(@zBYW95M(8@u4lHq8&oK#q6<5RP<v%8MbPYq@2gP*P)a;~qO9y|VvhyRK2AD?lE^|K
706Zm{hRjK+}IecL)Z*>bZ@I^-}sps(}spQKHUm+#V$r`>|BMB)*wz-6_NxH8ye4~eNGJH!B*4%k~+quqBq56(P{(qO@d(wY8qTdgR+&q3DiGIlN
qg9u;;>Rb^{Y1IE?zp!J{8V!OjN#`3ztAoQT;P{hwJN&-MZQ`!$YS7EbNIEQ<z4)S;kPOuEPeLzyMgtg)xga&+iuZhGo>)5J^Y^G59*ZFmIPhk{z
!@>ZS3ex_>&a#XNJG%#0qeWW%~2fR|9U$Qg01fraWwaowyW#>)`KdmFMFhGuv*sQvR+AQ_{Ba&w;y@&Fd!ZldbMn{~8eMQ9m&7?=JqsaI1=(iT}>
wwsPDILLb`=YU;Rs0CBsv8u(ua|CcwVpo?S7mr>Ovgrm*<I6V#tA+zBp$UZ?;$4}CP`6(K8Y}L0d&vYC92pQ-6QTb|iW!G)Ag@?yiGqp5R(peKz{
vN&2AER|DDg1Rb>-pm}a^=oG-%#&*{(31+Vu&{F&*pu6$=^UGc`Kfix8jKI9gnI{iKsG@jJg1(qAqMBQCG0hs4LA_RI^_f)p*CFE?P#^4R?K1W8D
zd5I08kuuW0j=M+A<T06#uYDg@$yiIOcy#HJ}VZMCAT>es};aViWU!9K+zuS78<%ncCGCF{!nI)rSip8!eCHkvN{ds(V>qM=`?f|RQ+Cc
"""

# a safetensors file whose metadata describe the containers
FORMER = r"""
c-nnZOHRWu5G|ht$FRIMmF>9hX9Hq^goMNany5+>M?~aPB@QA~xhqHD2>6#Yv;}WGGw;3e^VnZk6SMYkv&n@F<4}g14P5PEo))PrtLPQ3;NFLE8c
83nz<TXNDT=zRY9At?kSwh&vhNX{4Xi2lVP}ZvK=L0*{{uY*23>%FGE_AARt$z@v&)2WL=d>8)0wFzSs6;(A}x}>b5!Pv{9)MM6eGZ<I8czR8i7F
3WEld4;>D8A7G%i@<8(>pY>qjZb9?+8nU)f~iPnd@a_oWXj;?lK`LL{FQHj{u9x^-Rtu7Nw40TL{{<^i0PGh3s5Q}bGDf&^kSYI0BMBmzSV%hG5<
G9!kMlKE<@t#Hl$t9W<?V5p9r=LB=hRO^@!0XL~RTZ|5;NsQsi@JK}B%19*k?&;dh81+`wGRJD|4w6C{mduMAcFO4sI#>fAZUJYnIvj7wJKpmnHs
-6WUPGrrDUf{%Fv7lql4++@>BJUBhJQZ@=NW}k(wfW+JLj82Hv>A!^_L_xWjq9vflx-CT?B0{c>_{ec!p@-flN;zrMei`~W7hHnI
"""
